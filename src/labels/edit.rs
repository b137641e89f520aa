//! Labels made from labels: with other weights, or fewer missing entries.

use tch::{Device, Kind, Tensor};

use super::checked::Labels;
use super::factors::Factors;
use super::stored::Stored;
use crate::{Result, check};

/// Weights that multiply the loss of the observed entries, see [`Labels::with_weights`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Weights<'a> {
    /// In the labels' shape; the values of missing entries are ignored.
    PerEntry(&'a Tensor),
    /// `[N]`: one for each row.
    PerRow(&'a Tensor),
    /// `[C]`: one for each label.
    PerLabel(&'a Tensor),
}

impl Labels {
    /// Multiplies the losses of the observed entries by `weights`, in addition to weights that are already set.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Device`](crate::Error::Device);
    /// [`Error::Range`](crate::Error::Range) for a weight that is not finite.
    pub fn with_weights(self, weights: Weights<'_>) -> Result<Self> {
        let size = self.size();
        let (given, expected) = match weights {
            Weights::PerEntry(given) => (given, size.clone()),
            Weights::PerRow(given) => (given, vec![size[0]]),
            Weights::PerLabel(given) => (given, vec![*size.last().unwrap_or(&1)]),
        };
        check::dense("weights", given)?;
        check::like("weights", given, &expected, self.device())?;
        let given = given.f_detach()?;
        // A copy in contiguous memory, independent of the caller's tensor.
        let in_double = || Tensor::f_zeros(&expected[..], (Kind::Double, self.device()))?.f_add(&given);
        let product = match weights {
            Weights::PerEntry(_) => {
                let kind = if given.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
                if let Stored::Sparse(_) = &self.table {
                    return self.weighing_each(|entries| Ok(entries.gather(&given)?.f_to_kind(kind)?));
                }
                // Not 0: a loss that counts missing entries must not lose them.
                let given = given.f_to_kind(kind)?.f_masked_fill(&self.missing()?, 1.0)?;
                self.own(&self.weights)?.with_entries(&given)?
            }
            // With one dimension, rows and labels are the same.
            Weights::PerLabel(_) if size.len() > 1 => self.weights.clone().with_labels(&in_double()?)?,
            Weights::PerLabel(_) | Weights::PerRow(_) => self.weights.clone().with_rows(&in_double()?)?,
        };
        let weighted = match (weights, product.fits()?) {
            (Weights::PerEntry(_), true) => self.alone(product)?,
            (Weights::PerEntry(_), false) => self.alone(product.expanded(&size)?)?,
            (_, true) => self.with_factors(product),
            (_, false) => {
                let product = self.own(&product)?;
                self.alone(product.expanded(&size)?)?
            }
        };
        weighted.with_totals()
    }

    /// A range of labels, as a matrix of these rows, with the weights for it.
    pub(crate) fn of_labels(&self, weights: &Factors, start: i64, length: i64) -> Result<(Self, Factors)> {
        let rows = |matrix: &Tensor| -> Result<_> {
            let columns = matrix.f_narrow(1, start, length)?;
            Ok(match &self.index {
                Some(index) => columns.f_index_select(0, index)?,
                None => columns.f_contiguous()?,
            })
        };
        let mut weights = weights.clone();
        weights.labels = weights.labels.map(|labels| labels.f_narrow(0, start, length)).transpose()?;
        let cells = match &self.table {
            Stored::Dense(cells) => {
                weights = weights.try_map_entries(|numbers, _| rows(numbers))?;
                rows(cells)?
            }
            Stored::Sparse(entries) => {
                let (index, labels) = (self.index.as_ref(), [start, start + length]);
                weights =
                    weights.try_map_entries(|numbers, elsewhere| entries.matrix(index, labels, numbers, elsewhere))?;
                entries.cells(index, labels)?
            }
        };
        Ok((Self::of_cells(cells, self.range)?, weights))
    }

    /// The labels as a matrix of only these rows, with these weights.
    pub(super) fn alone(self, weights: Factors) -> Result<Self> {
        Ok(Self { table: Stored::Dense(self.cells()?), index: None, ..self }.with_factors(weights))
    }

    /// The same labels with these weights, which need no check.
    pub(super) fn with_factors(self, weights: Factors) -> Self {
        Self { weights, weight_per_row: None, ..self }
    }

    /// Adds up the weights of each row, for batches cut later. Not called where labels change in every step.
    pub(super) fn with_totals(mut self) -> Result<Self> {
        if !self.weights.is_empty() && self.device() == Device::Cpu {
            self.weight_per_row = Some(self.weights_of_rows(false)?);
        }
        Ok(self)
    }

    /// The same labels, with a positive for each missing one where `mask` (boolean, broadcast to the labels' shape) is
    /// true. Observed labels stay unchanged.
    pub(crate) fn with_positives(&self, mask: &Tensor) -> Result<Self> {
        let chosen = mask.f_logical_and(&self.missing()?)?;
        let range = self.range.map_or((1.0, 1.0), |(least, largest)| (least.min(1.0), largest.max(1.0)));
        let cells = self.cells()?.f_masked_fill(&chosen, 1)?;
        Ok(Self::of_cells(cells, Some(range))?.with_factors(self.own(&self.weights)?))
    }

    /// The same labels, with a weight of 0 for each missing one where `mask` (boolean, broadcast to the labels' shape)
    /// is true.
    pub(crate) fn without_missing(&self, mask: &Tensor) -> Result<Self> {
        let kept = mask.f_logical_not()?.f_logical_or(&self.observed()?)?.f_to_kind(Kind::Float)?;
        self.reweighted(&kept)
    }

    /// The same labels, with a further weight for each entry (`f32` or `f64`), which needs no check.
    pub(crate) fn reweighted(&self, further: &Tensor) -> Result<Self> {
        self.clone().alone(self.own(&self.weights)?.with_entries(further)?)
    }

    /// Fills every missing label with its label's value in `values` (`[C]`): a prior, or another model's prediction for
    /// all rows. The result has no missing labels, and the same weights.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Device`](crate::Error::Device);
    /// [`Error::Range`](crate::Error::Range) for a value that is not finite.
    pub fn imputed(&self, values: &Tensor) -> Result<Self> {
        let size = self.size();
        check::dense("values", values)?;
        check::like("values", values, &[*size.last().unwrap_or(&1)], self.device())?;
        let values = values.f_detach()?.f_to_kind(Kind::Double)?;
        let filled = self.values()?.f_to_kind(Kind::Double)?.f_where_self(&self.observed()?, &values)?;
        Self::complete(&filled)?.with_factors(self.own(&self.weights)?).with_totals()
    }
}
