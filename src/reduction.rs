use tch::{Device, Kind, Tensor};

use crate::labels::one_but;
use crate::{Error, Labels, Result};

/// What the entries' losses `ℓ` are brought together to. `m` is 1 where an entry counts: where it is observed, or
/// everywhere for a loss [`with_missing`](crate::Elementwise::with_missing) entries.
///
/// The weights of [`Labels`] multiply the entries' losses. They are part of `ℓ`, and of no denominator but that of
/// [`WeightedMean`](Self::WeightedMean). A denominator of 0 has a sum of 0 above it; the result is then 0.
///
/// A published learning rate goes with a denominator: see the name of each for who uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// `ℓ`: each entry by itself, in the logits' shape, 0 where it does not count.
    None,
    /// `Σ ℓ`: asymmetric loss and its kin, Hill, SPLC.
    Sum,
    /// `Σ ℓ / Σ m`: masking as first published; chemprop.
    #[default]
    Mean,
    /// `Σ ℓ / (N·C)`, missing entries in the denominator: Cole 2021 and the single-positive family, DeepChem 2.
    MeanAll,
    /// The mean over rows of each row's mean; rows without an entry that counts are left out.
    MeanPerRow,
    /// The mean over labels of each label's mean; labels without an entry that counts are left out.
    MeanPerLabel,
    /// `Σ ℓ / Σ w m`, with the weights `w` of [`Labels`].
    WeightedMean,
    /// `Σ ℓ / n`, for a count known from outside: `N` for SparseChem, or that of a batch spread over machines.
    MeanOver(f64),
}

/// A reduction of certain labels: the sum of the losses, further weighted, over a divisor.
pub(crate) struct Plan {
    /// The labels with the further weights; none if there are none.
    labels: Option<Labels>,
    pub(crate) divisor: Divisor,
}

pub(crate) enum Divisor {
    /// The entries are wanted, not their sum.
    Entries,
    Number(f64),
    /// Left on the device, so that a GPU need not wait.
    Counted(Tensor),
}

impl Plan {
    pub(crate) fn labels<'a>(&'a self, plain: &'a Labels) -> &'a Labels {
        self.labels.as_ref().unwrap_or(plain)
    }
}

impl Reduction {
    /// `everything`: missing entries count.
    pub(crate) fn plan(self, labels: &Labels, everything: bool) -> Result<Plan> {
        let plain = |divisor| Ok(Plan { labels: None, divisor });
        match self {
            Self::None => plain(Divisor::Entries),
            Self::Sum => plain(Divisor::Number(1.0)),
            Self::Mean if !everything => plain(Divisor::Counted(labels.observed_count()?)),
            Self::Mean | Self::MeanAll => plain(Divisor::Number(labels.cells().numel() as f64)),
            Self::MeanOver(count) if count > 0.0 && count.is_finite() => plain(Divisor::Number(count)),
            Self::MeanOver(found) => {
                let expected = "a finite number above 0".into();
                Err(Error::Range { tensor: "Reduction::MeanOver", expected, found })
            }
            Self::WeightedMean => plain(Divisor::Counted(labels.total_weight(everything)?)),
            Self::MeanPerRow => along(labels, 0, everything),
            Self::MeanPerLabel => along(labels, labels.size().len() - 1, everything),
        }
    }
}

/// The mean along one dimension of the means over all others.
fn along(labels: &Labels, dimension: usize, everything: bool) -> Result<Plan> {
    let counts = labels.counted_along(dimension, everything)?;
    let (divisor, shares) = (counts.f_gt(0)?.f_sum(Kind::Int64)?, counts.f_clamp_min(1)?.f_reciprocal()?);
    let layout = one_but(&labels.size(), dimension);
    Ok(Plan { labels: Some(labels.reweighted(&shares.f_reshape(layout)?)?), divisor: Divisor::Counted(divisor) })
}

impl Divisor {
    /// As the second of a pair that is added up before it divides; the entries themselves count as a sum.
    pub(crate) fn weight(self, device: Device) -> Result<Tensor> {
        match self {
            Self::Entries => Self::Number(1.0).weight(device),
            Self::Number(number) => Ok(Tensor::f_from_slice(&[number])?.f_reshape([0i64; 0])?.f_to_device(device)?),
            Self::Counted(count) => Ok(count),
        }
    }

    /// The number, which is at hand where the labels lie on the CPU; `None` for the entries themselves.
    pub(crate) fn number(&self) -> Result<Option<f64>> {
        let number = match self {
            Self::Entries => return Ok(None),
            Self::Number(number) => *number,
            Self::Counted(count) => count.f_double_value(&[])?,
        };
        Ok(Some(if number == 0.0 { 1.0 } else { number }))
    }

    pub(crate) fn apply(&self, entries: Tensor, kind: Kind) -> Result<Tensor> {
        match self {
            Self::Entries => Ok(entries),
            Self::Number(number) => divide(&entries.f_sum(kind)?, &Tensor::f_from_slice(&[*number])?),
            Self::Counted(count) => divide(&entries.f_sum(kind)?, count),
        }
    }
}

/// `sum / weight`, both of one element, in the sum's kind; 0 / 0 is 0, without an epsilon.
pub(crate) fn divide(sum: &Tensor, weight: &Tensor) -> Result<Tensor> {
    // Of rank 0, a number on the CPU goes with a sum on any device.
    let weight = weight.f_to_kind(sum.f_kind()?)?.f_reshape([0i64; 0])?;
    Ok(sum.f_div(&weight.f_ones_like()?.f_where_self(&weight.f_eq(0)?, &weight)?)?)
}
