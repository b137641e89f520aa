//! Weights as a product of factors, which is never expanded to all entries.

use masked_loss_core::{EntryWeights, Weights};
use tch::{Device, Kind, Tensor};

use crate::native::slice;
use crate::{Error, Result, check};

/// The weight of an entry: the product of its own weight, its row's and its label's, where given.
#[derive(Debug, Default)]
pub(crate) struct Factors {
    /// In the labels' shape, contiguous; `f32` or `f64`.
    pub(crate) entries: Option<Tensor>,
    /// `[N]`, `f64`.
    pub(crate) rows: Option<Tensor>,
    /// `[C]`, `f64`.
    pub(crate) labels: Option<Tensor>,
    /// In the labels' shape, `i8`: see [`Labels::with_bounds`](super::Labels::with_bounds).
    pub(crate) bounds: Option<Tensor>,
}

impl Factors {
    /// Slices of CPU tensors.
    pub(crate) fn slices(&self) -> Result<Weights<'_>> {
        Ok(Weights {
            entries: match &self.entries {
                Some(entries) if entries.f_kind()? == Kind::Double => Some(EntryWeights::F64(slice(entries)?)),
                Some(entries) => Some(EntryWeights::F32(slice(entries)?)),
                None => None,
            },
            rows: self.rows.as_ref().map(slice).transpose()?,
            labels: self.labels.as_ref().map(slice).transpose()?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_none() && self.rows.is_none() && self.labels.is_none()
    }

    pub(crate) fn with_rows(mut self, further: &Tensor) -> Result<Self> {
        self.rows = Some(multiplied(self.rows.take(), further)?);
        Ok(self)
    }

    pub(crate) fn with_labels(mut self, further: &Tensor) -> Result<Self> {
        self.labels = Some(multiplied(self.labels.take(), further)?);
        Ok(self)
    }

    pub(crate) fn with_entries(mut self, further: &Tensor) -> Result<Self> {
        self.entries = Some(multiplied(self.entries.take(), further)?.f_contiguous()?);
        Ok(self)
    }

    pub(crate) fn try_map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let of = |factor: &Option<Tensor>| factor.as_ref().map(&f).transpose();
        let (entries, rows) = (of(&self.entries)?, of(&self.rows)?);
        Ok(Self { entries, rows, labels: of(&self.labels)?, bounds: of(&self.bounds)? })
    }

    /// Changes what belongs to single entries: `f` receives it, and what it is where an entry is missing.
    pub(super) fn try_map_entries(mut self, f: impl Fn(&Tensor, f64) -> Result<Tensor>) -> Result<Self> {
        self.entries = self.entries.map(|weights| f(&weights, 1.0)).transpose()?;
        self.bounds = self.bounds.map(|bounds| f(&bounds, 0.0)).transpose()?;
        Ok(self)
    }

    /// The product as one weight per entry of labels of this size, for factors that do not fit `f32`.
    ///
    /// # Errors
    /// [`Error::Range`] for a weight that is not finite as `f32`: 0 · ∞ would be NaN.
    pub(super) fn expanded(mut self, size: &[i64]) -> Result<Self> {
        let bounds = self.bounds.take();
        let one = Tensor::f_ones(vec![1; size.len()], (Kind::Double, self.device()))?;
        let product = self.multiply(one, size, Kind::Double)?;
        if let Some(found) = check::first(&product, &product.f_to_kind(Kind::Float)?.f_isfinite()?.f_logical_not()?)? {
            return Err(Error::Range { argument: "weights", expected: "numbers that are finite as f32".into(), found });
        }
        Ok(Self { entries: Some(product.f_expand(size, false)?.f_contiguous()?), bounds, ..Self::default() })
    }

    /// Whether the product and all its parts stay within the range of `f32`, in which most logits are computed.
    pub(super) fn fits(&self) -> Result<bool> {
        let (mut least, mut largest) = (1.0, 1.0);
        let factors = || [&self.entries, &self.rows, &self.labels].into_iter().flatten().filter(|f| f.numel() > 0);
        for factor in factors() {
            let sizes = factor.f_abs()?;
            let top = sizes.f_max()?.f_double_value(&[])?;
            if top.is_nan() {
                return Ok(false);
            }
            let bottom = sizes.f_masked_fill(&sizes.f_eq(0)?, f64::INFINITY)?.f_min()?.f_double_value(&[])?;
            (least, largest) = (bottom.min(1.0) * least, top.max(1.0) * largest);
        }
        Ok(largest <= f64::from(f32::MAX) && (factors().count() < 2 || least >= f64::from(f32::MIN_POSITIVE)))
    }

    fn device(&self) -> Device {
        let mut factors = [&self.entries, &self.rows, &self.labels].into_iter().flatten();
        factors.next().map_or(Device::Cpu, Tensor::device)
    }

    /// `entries`, in the shape `size`, times the weights, one factor after another.
    pub(crate) fn multiply(&self, entries: Tensor, size: &[i64], kind: Kind) -> Result<Tensor> {
        self.shaped(size)?.iter().try_fold(entries, |entries, weights| Ok(entries.f_mul(&weights.f_to_kind(kind)?)?))
    }

    /// True where the mask is, or where a weight is 0: such an entry is left out, because its loss may be infinite.
    pub(crate) fn or_zero(&self, mask: Tensor, size: &[i64]) -> Result<Tensor> {
        self.shaped(size)?.iter().try_fold(mask, |mask, weights| Ok(mask.f_logical_or(&weights.f_eq(0)?)?))
    }

    /// The factors, reshaped to broadcast to this size.
    fn shaped(&self, size: &[i64]) -> Result<Vec<Tensor>> {
        let rows = self.rows.as_ref().map(|rows| rows.f_reshape(one_but(size, 0))).transpose()?;
        let others = [&self.entries, &self.labels].into_iter().flatten().map(Tensor::shallow_clone);
        Ok(others.chain(rows).collect())
    }
}

impl Clone for Factors {
    /// Shares the tensors.
    fn clone(&self) -> Self {
        let of = |factor: &Option<Tensor>| factor.as_ref().map(Tensor::shallow_clone);
        Self { entries: of(&self.entries), rows: of(&self.rows), labels: of(&self.labels), bounds: of(&self.bounds) }
    }
}

fn multiplied(factor: Option<Tensor>, further: &Tensor) -> Result<Tensor> {
    Ok(match factor {
        Some(factor) => factor.f_mul(further)?,
        None => further.shallow_clone(),
    })
}

/// The size with 1 in every dimension except `kept`.
fn one_but(size: &[i64], kept: usize) -> Vec<i64> {
    size.iter().enumerate().map(|(dimension, &length)| if dimension == kept { length } else { 1 }).collect()
}
