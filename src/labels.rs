mod changed;
mod counts;

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

pub use self::changed::Weights;
pub(crate) use self::changed::one_but;
pub(crate) use self::counts::sum_per_label;
use crate::{Error, Result, check};

/// Targets and which of them are known: the only place where missingness is decoded.
///
/// Made and checked once, usually for a whole table, and then cut into batches by [`rows`](Self::rows), which checks
/// nothing anew and, on a GPU, waits for nothing. Labels are constants: no gradient flows to them.
///
/// Shapes: `[N, C]`, or any rank of at least 1; rows are the first dimension, labels the last.
///
/// Labels that are all 0 or 1 are held in one byte an entry, others as `f32` (`f64` where they came as `f64` or as
/// integers).
#[derive(Debug)]
pub struct Labels {
    /// `i8` with [`MISSING`], or floating point with NaN where missing; contiguous.
    cells: Tensor,
    /// Of the cells' rank, broadcast against them; finite everywhere.
    weights: Option<Tensor>,
    /// The smallest and the largest observed label of the table that these rows come from.
    range: Option<(f64, f64)>,
    count: OnceCell<Tensor>,
}

/// Stands in one-byte cells for a missing label.
pub(crate) const MISSING: i8 = -1;

impl Labels {
    /// Every label is known.
    ///
    /// # Errors
    /// [`Error::Range`] for a NaN or infinite label; [`Error::Kind`] for complex, quantized or sparse tensors.
    pub fn complete(values: &Tensor) -> Result<Self> {
        check::dense("labels", values)?;
        Self::encode(values, &values.f_zeros_like()?.f_to_kind(Kind::Bool)?)
    }

    /// `mask` is 1 (or true) where the label is known and 0 (or false) where it is missing, in the labels' shape. What
    /// stands in `values` at a missing entry is of no account.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries; [`Error::Shape`] and [`Error::Device`] where the two
    /// tensors do not fit; [`Error::Range`] for a mask that holds anything but 0 and 1.
    pub fn from_mask(values: &Tensor, mask: &Tensor) -> Result<Self> {
        check::dense("labels", values)?;
        check::dense("mask", mask)?;
        check::like("mask", mask, &values.size(), values.device())?;
        if mask.f_kind()? != Kind::Bool {
            let neither = mask.f_ne(0)?.f_logical_and(&mask.f_ne(1)?)?;
            if let Some(found) = check::first(mask, &neither)? {
                return Err(Error::Range { tensor: "mask", expected: "0 or 1".into(), found });
            }
        }
        Self::encode(values, &mask.f_eq(0)?)
    }

    /// A label is missing where it is NaN.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries.
    pub fn from_nan(raw: &Tensor) -> Result<Self> {
        check::dense("labels", raw)?;
        Self::encode(raw, &raw.f_isnan()?)
    }

    /// A label is missing where it equals `sentinel`, often -1. NaN as sentinel means [`from_nan`](Self::from_nan).
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries.
    pub fn from_sentinel(raw: &Tensor, sentinel: f64) -> Result<Self> {
        check::dense("labels", raw)?;
        let missing = if sentinel.is_nan() { raw.f_isnan()? } else { raw.f_eq(sentinel)? };
        Self::encode(raw, &missing)
    }

    fn encode(values: &Tensor, missing: &Tensor) -> Result<Self> {
        if values.dim() == 0 {
            return Err(Error::Shape { tensor: "labels", expected: "of rank 1 or more".into(), found: vec![] });
        }
        let kind = match values.f_kind()? {
            Kind::Double | Kind::Int | Kind::Int64 => Kind::Double,
            _ => Kind::Float,
        };
        let values = values.f_detach()?.f_to_kind(kind)?;
        let unusable = values.f_isfinite()?.f_logical_not()?.f_logical_and(&missing.f_logical_not()?)?;
        if let Some(found) = check::first(&values, &unusable)? {
            return Err(Error::Range { tensor: "labels", expected: "a finite number where observed".into(), found });
        }
        let range = if values.numel() == 0 {
            None
        } else {
            let least = values.f_masked_fill(missing, f64::INFINITY)?.f_min()?.f_double_value(&[])?;
            let largest = values.f_masked_fill(missing, f64::NEG_INFINITY)?.f_max()?.f_double_value(&[])?;
            (least <= largest).then_some((least, largest))
        };
        let soft = values.f_ne(0)?.f_logical_and(&values.f_ne(1)?)?.f_logical_and(&missing.f_logical_not()?)?;
        let cells = if soft.f_any()?.f_int64_value(&[])? == 0 {
            values.f_masked_fill(missing, i64::from(MISSING))?.f_to_kind(Kind::Int8)?
        } else {
            values.f_masked_fill(missing, f64::NAN)?
        };
        Ok(Self { cells: cells.f_contiguous()?, weights: None, range, count: OnceCell::new() })
    }

    /// The rows that `index` (`[n]`, integers, on the same device) names, in its order; a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index that is no vector; [`Error::Torch`] for one that is out of bounds or not of integers.
    pub fn rows(&self, index: &Tensor) -> Result<Self> {
        check::dense("index", index)?;
        if index.dim() != 1 {
            return Err(Error::Shape { tensor: "index", expected: "[n]".into(), found: index.size() });
        }
        let weights = match &self.weights {
            Some(weights) if weights.size()[0] != 1 || self.size()[0] == 1 => Some(weights.f_index_select(0, index)?),
            Some(shared) => Some(shared.shallow_clone()),
            None => None,
        };
        Ok(Self { cells: self.cells.f_index_select(0, index)?, weights, range: self.range, count: OnceCell::new() })
    }

    /// The same labels on another device.
    ///
    /// # Errors
    /// [`Error::Torch`] where the device is not there or its memory is full.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        let weights = self.weights.as_ref().map(|weights| weights.f_to_device(device)).transpose()?;
        Ok(Self { cells: self.cells.f_to_device(device)?, weights, range: self.range, count: OnceCell::new() })
    }

    /// The labels, NaN where missing: `f32`, or `f64` if they are held so.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn values(&self) -> Result<Tensor> {
        match self.cells.f_kind()? {
            Kind::Int8 => Ok(self.cells.f_to_kind(Kind::Float)?.f_masked_fill(&self.missing()?, f64::NAN)?),
            _ => Ok(self.cells.shallow_clone()),
        }
    }

    /// Boolean, in the labels' shape: true where the label is known.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn observed(&self) -> Result<Tensor> {
        Ok(self.missing()?.f_logical_not()?)
    }

    pub(crate) fn missing(&self) -> Result<Tensor> {
        Ok(match self.cells.f_kind()? {
            Kind::Int8 => self.cells.f_lt(0)?,
            _ => self.cells.f_isnan()?,
        })
    }

    /// The labels' shape.
    pub fn size(&self) -> Vec<i64> {
        self.cells.size()
    }

    /// Where they lie.
    pub fn device(&self) -> Device {
        self.cells.device()
    }

    /// The smallest and the largest observed label of the table that these labels were made from, `None` if it had no
    /// observed one.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    pub(crate) fn cells(&self) -> &Tensor {
        &self.cells
    }

    pub(crate) fn weights(&self) -> Option<&Tensor> {
        self.weights.as_ref()
    }
}

impl Clone for Labels {
    /// Shares the tensors, none of which ever changes.
    fn clone(&self) -> Self {
        Self {
            cells: self.cells.shallow_clone(),
            weights: self.weights.as_ref().map(Tensor::shallow_clone),
            range: self.range,
            count: self.count.get().map(Tensor::shallow_clone).map(OnceCell::from).unwrap_or_default(),
        }
    }
}
