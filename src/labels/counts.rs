//! How much is observed.

use tch::{Device, Kind, Tensor};

use super::Labels;
use crate::{Result, fused};

impl Labels {
    /// How many labels are known: a scalar `i64` tensor, left on the device so that a GPU need not wait.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) only.
    pub fn observed_count(&self) -> Result<Tensor> {
        if let Some(count) = self.count.get() {
            return Ok(count.shallow_clone());
        }
        let count = self.observed()?.f_sum(Kind::Int64)?;
        Ok(self.count.get_or_init(|| count).shallow_clone())
    }

    /// How many labels are known of each column: `[C]`, `i64`.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) only.
    pub fn observed_per_label(&self) -> Result<Tensor> {
        sum_per_label(&self.observed()?, Kind::Int64)
    }

    /// How many entries count in each place of one dimension: `f64`, a vector.
    pub(crate) fn counted_along(&self, dimension: usize, everything: bool) -> Result<Tensor> {
        let size = self.size();
        if everything {
            let each: i64 =
                size.iter().enumerate().filter(|&(i, _)| i != dimension).map(|(_, length)| length).product();
            return Ok(Tensor::f_full([size[dimension]], each as f64, (Kind::Double, self.device()))?);
        }
        let others: Vec<i64> = (0..size.len()).filter(|&i| i != dimension).map(|i| i as i64).collect();
        let observed = self.observed()?.f_to_kind(Kind::Double)?;
        // No dimension would mean every dimension.
        Ok(if others.is_empty() { observed } else { observed.f_sum_dim_intlist(&others[..], false, Kind::Double)? })
    }

    /// The weights of the entries that count, added up: a scalar `f64` tensor.
    pub(crate) fn total_weight(&self, everything: bool) -> Result<Tensor> {
        let ones = Tensor::f_ones([1], (Kind::Double, self.device()))?;
        let weights = self.weights.as_ref().unwrap_or(&ones).f_to_kind(Kind::Double)?.f_expand(self.size(), false)?;
        let counted = if everything { weights } else { weights.f_masked_fill(&self.missing()?, 0.0)? };
        if self.device() != Device::Cpu {
            return Ok(counted.f_sum(Kind::Double)?);
        }
        // libtorch's own sum of many numbers depends on the number of threads.
        Ok(Tensor::f_from_slice(&[fused::sum(&counted)?])?.f_reshape([0i64; 0])?)
    }
}

/// The sum over every dimension but the last: `[C]`.
pub(crate) fn sum_per_label(entries: &Tensor, kind: Kind) -> Result<Tensor> {
    let labels = *entries.size().last().unwrap_or(&0);
    let rows = if labels == 0 { 0 } else { entries.numel() as i64 / labels };
    Ok(entries.f_reshape([rows, labels])?.f_sum_dim_intlist(0i64, false, kind)?)
}
