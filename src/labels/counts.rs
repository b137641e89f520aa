//! Counts of observed labels.

use tch::{Device, Kind, Tensor};

use super::cells::sum_per_label;
use super::checked::Labels;
use super::factors::Factors;
use crate::Result;
use crate::native::{TorchThreads, slice, slice_mut};

impl Labels {
    /// How many labels are known: a scalar `i64` tensor, which stays on the device so that nothing waits for a GPU.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) only.
    pub fn observed_count(&self) -> Result<Tensor> {
        if let Some(count) = self.count.get() {
            return Ok(count.shallow_clone());
        }
        let count = self.observed_per_row.f_sum(Kind::Int64)?;
        Ok(self.count.get_or_init(|| count).shallow_clone())
    }

    /// How many labels are known in each column: `[C]`, `i64`.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch), [`Error::Environment`](crate::Error::Environment).
    pub fn observed_per_label(&self) -> Result<Tensor> {
        match self.device() {
            Device::Cpu => {
                // With one dimension, rows and labels are the same.
                let labels = self.size().last().map_or(0, |&labels| labels as usize);
                let counts = match self.entries()? {
                    Some(entries) => entries.observed_per_label(),
                    None => self.table(&Factors::default())?.0.observed_per_label(&TorchThreads, labels)?,
                };
                Ok(Tensor::f_from_slice(&counts)?)
            }
            _ => sum_per_label(&self.observed()?, Kind::Int64),
        }
    }

    /// How many labels are known in each row: `[N]`, `i64`.
    pub(crate) fn observed_per_row(&self) -> &Tensor {
        &self.observed_per_row
    }

    /// The sum of the weights of the entries that count: a scalar `f64` tensor.
    pub(crate) fn total_weight(&self, everything: bool) -> Result<Tensor> {
        let size = self.size();
        if self.weights.is_empty() {
            return match everything {
                true => Ok(Tensor::from(size.iter().product::<i64>() as f64).f_to_device(self.device())?),
                false => Ok(self.observed_count()?.f_to_kind(Kind::Double)?),
            };
        }
        if self.device() != Device::Cpu {
            let counted = match everything {
                true => {
                    Tensor::f_ones(vec![1; size.len()], (Kind::Double, self.device()))?.f_expand(&size[..], false)?
                }
                false => self.observed()?.f_to_kind(Kind::Double)?,
            };
            return Ok(self.weights.multiply(counted, &size, Kind::Double)?.f_sum(Kind::Double)?);
        }
        let per_row = match &self.weight_per_row {
            Some(per_row) if !everything => per_row.shallow_clone(),
            _ => self.weights_of_rows(everything)?,
        };
        // libtorch's own sum of many numbers depends on the number of threads.
        Ok(Tensor::from(masked_loss_core::sum(slice(&per_row.f_contiguous()?)?)?))
    }

    /// The sum of the weights of each row's observed entries, or of all its entries: `[N]`, `f64`; on the CPU.
    pub(super) fn weights_of_rows(&self, everything: bool) -> Result<Tensor> {
        if let Some(entries) = self.entries()?.filter(|_| !everything) {
            return Ok(Tensor::f_from_slice(&entries.weight_per_row(&self.weights.slices()?))?);
        }
        let (table, weights) = self.table(&self.weights)?;
        let mut totals = Tensor::f_empty([table.rows as i64], (Kind::Double, Device::Cpu))?;
        table.weight_per_row(&TorchThreads, &weights.slices()?, everything, slice_mut(&mut totals)?)?;
        Ok(totals)
    }
}
