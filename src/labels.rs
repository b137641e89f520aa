use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

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

/// Weights that multiply the loss of the observed entries, see [`Labels::with_weights`].
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// In the labels' shape; what stands at a missing entry is of no account.
    PerEntry(&'a Tensor),
    /// `[N]`: one for each row.
    PerRow(&'a Tensor),
    /// `[C]`: one for each label.
    PerLabel(&'a Tensor),
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

    /// Multiplies the observed entries' losses by `weights`, on top of those already set.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Device`]; [`Error::Range`] for a weight that is not finite.
    pub fn with_weights(mut self, weights: Weights<'_>) -> Result<Self> {
        let size = self.size();
        let (given, expected, layout) = match weights {
            Weights::PerEntry(given) => (given, size.clone(), size.clone()),
            Weights::PerRow(given) => (given, vec![size[0]], one_but(&size, 0)),
            Weights::PerLabel(given) => (given, vec![*size.last().unwrap_or(&1)], one_but(&size, size.len() - 1)),
        };
        check::dense("weights", given)?;
        check::like("weights", given, &expected, self.device())?;
        let kind = if given.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
        let mut given = given.f_detach()?.f_to_kind(kind)?.f_reshape(layout)?;
        if matches!(weights, Weights::PerEntry(_)) {
            // Not 0: a loss that assumes something of missing entries must not lose them by this.
            given = given.f_masked_fill(&self.missing()?, 1.0)?;
        }
        let product = match &self.weights {
            Some(set) => set.f_mul(&given)?,
            None => given,
        };
        // As f32 too, in which most logits are computed: 0 · ∞ would be NaN at a missing entry.
        let finite = product.f_to_kind(Kind::Float)?.f_isfinite()?;
        if let Some(found) = check::first(&product, &finite.f_logical_not()?)? {
            return Err(Error::Range { tensor: "weights", expected: "numbers that are finite as f32".into(), found });
        }
        self.weights = Some(product.f_contiguous()?);
        Ok(self)
    }

    /// The same labels, with further weights that can be broadcast against them and that nobody need check.
    pub(crate) fn reweighted(&self, further: &Tensor) -> Result<Self> {
        let weights = match &self.weights {
            Some(set) => set.f_mul(further)?,
            None => further.shallow_clone(),
        };
        Ok(Self { weights: Some(weights.f_contiguous()?), ..self.clone() })
    }

    /// The same labels, with those that are missing where `mask` (boolean, broadcast to the labels' shape) is true observed
    /// as positives. What is observed stays as it is.
    pub(crate) fn with_positives(&self, mask: &Tensor) -> Result<Self> {
        let chosen = mask.f_logical_and(&self.missing()?)?;
        let range = self.range.map_or((1.0, 1.0), |(least, largest)| (least.min(1.0), largest.max(1.0)));
        let cells = self.cells.f_masked_fill(&chosen, 1)?;
        Ok(Self {
            cells,
            range: Some(range),
            count: OnceCell::new(),
            weights: self.weights.as_ref().map(Tensor::shallow_clone),
        })
    }

    /// The same labels, with a weight of 0 for those that are missing where `mask` (boolean, broadcast to the labels' shape)
    /// is true.
    pub(crate) fn without_missing(&self, mask: &Tensor) -> Result<Self> {
        let dropped = mask.f_logical_and(&self.missing()?)?;
        self.reweighted(&dropped.f_logical_not()?.f_to_kind(Kind::Float)?)
    }

    /// Every missing label takes its label's value of `values` (`[C]`): a prior, or another model's prediction for all. The
    /// result has no missing labels, and weights as before.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Device`]; [`Error::Range`] for a value that is not finite.
    pub fn imputed(&self, values: &Tensor) -> Result<Self> {
        let size = self.size();
        check::dense("values", values)?;
        check::like("values", values, &[*size.last().unwrap_or(&1)], self.device())?;
        let values = values.f_detach()?.f_to_kind(Kind::Double)?.f_reshape(one_but(&size, size.len() - 1))?;
        let filled = self.values()?.f_to_kind(Kind::Double)?.f_where_self(&self.observed()?, &values)?;
        let filled = Self::encode(&filled, &filled.f_zeros_like()?.f_to_kind(Kind::Bool)?)?;
        Ok(Self { weights: self.weights.as_ref().map(Tensor::shallow_clone), ..filled })
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

    /// How many labels are known: a scalar `i64` tensor, left on the device so that a GPU need not wait.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
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
    /// [`Error::Torch`] only.
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
        Ok(counted.f_sum(Kind::Double)?)
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

/// The sum over every dimension but the last: `[C]`.
pub(crate) fn sum_per_label(entries: &Tensor, kind: Kind) -> Result<Tensor> {
    let labels = *entries.size().last().unwrap_or(&0);
    let rows = if labels == 0 { 0 } else { entries.numel() as i64 / labels };
    Ok(entries.f_reshape([rows, labels])?.f_sum_dim_intlist(0i64, false, kind)?)
}

/// 1 in every dimension but `kept`.
pub(crate) fn one_but(size: &[i64], kept: usize) -> Vec<i64> {
    size.iter().enumerate().map(|(dimension, &length)| if dimension == kept { length } else { 1 }).collect()
}
