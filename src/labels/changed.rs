//! Labels made from labels: other weights, fewer missing ones.

use std::cell::OnceCell;

use tch::{Kind, Tensor};

use super::Labels;
use crate::{Error, Result, check};

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

impl Labels {
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
}

/// 1 in every dimension but `kept`.
pub(crate) fn one_but(size: &[i64], kept: usize) -> Vec<i64> {
    size.iter().enumerate().map(|(dimension, &length)| if dimension == kept { length } else { 1 }).collect()
}
