//! The plan of a reduction for given labels: what multiplies the losses, and what divides their sum.

use tch::{Device, Kind, Tensor};

use crate::labels::Factors;
use crate::{Error, Labels, Reduction, Result};

/// A reduction of given labels: the weighted sum of the losses, over a divisor.
pub(crate) struct Plan {
    /// The weights of the labels, times the further weights of the reduction. Those per entry belong to the table.
    pub(crate) weights: Factors,
    pub(crate) divisor: Divisor,
}

pub(crate) enum Divisor {
    /// No division: the entries themselves, not their sum.
    Entries,
    Number(f64),
    /// Stays on the device, so that a GPU need not wait.
    Counted(Tensor),
}

impl Reduction {
    /// `everything`: whether missing entries count.
    pub(crate) fn plan(self, labels: &Labels, everything: bool) -> Result<Plan> {
        let weights = labels.weights().clone();
        let along_rows = |counts: &Tensor| {
            let (divisor, shares) = mean_of_means(counts)?;
            Ok(Plan { weights: weights.clone().with_rows(&shares)?, divisor })
        };
        let along_labels = |counts: &Tensor| {
            let (divisor, shares) = mean_of_means(counts)?;
            Ok(Plan { weights: weights.clone().with_labels(&shares)?, divisor })
        };
        let size = labels.size();
        let all = |kept: usize| {
            let others: i64 = size.iter().enumerate().filter(|&(i, _)| i != kept).map(|(_, length)| length).product();
            Tensor::f_full([size[kept]], others, (Kind::Int64, labels.device()))
        };
        let divisor = match self {
            Self::MeanPerRow if everything => return along_rows(&all(0)?),
            Self::MeanPerRow => return along_rows(labels.observed_per_row()),
            Self::MeanPerLabel if everything => return along_labels(&all(size.len() - 1)?),
            Self::MeanPerLabel => return along_labels(&labels.observed_per_label()?),
            Self::Mean if !everything => Divisor::Counted(labels.observed_count()?),
            Self::WeightedMean => Divisor::Counted(labels.total_weight(everything)?),
            _ => self.divisor_without_labels(size.iter().product())?,
        };
        Ok(Plan { weights, divisor })
    }

    /// The divisor of reductions that need only the number of entries that count: here all of `entries`.
    pub(crate) fn divisor_without_labels(self, entries: i64) -> Result<Divisor> {
        match self {
            Self::None => Ok(Divisor::Entries),
            Self::Sum => Ok(Divisor::Number(1.0)),
            Self::MeanOver(count) if count > 0.0 && count.is_finite() => Ok(Divisor::Number(count)),
            Self::MeanOver(found) => {
                let expected = "a finite number above 0".into();
                Err(Error::Range { argument: "Reduction::MeanOver", expected, found })
            }
            _ => Ok(Divisor::Number(entries as f64)),
        }
    }
}

/// From the number of entries that count in each row (or label): the number of rows that have any, and the weight of an entry
/// in each row.
fn mean_of_means(counts: &Tensor) -> Result<(Divisor, Tensor)> {
    if counts.device() != Device::Cpu {
        let shares = counts.f_clamp_min(1)?.f_to_kind(Kind::Double)?.f_reciprocal()?;
        return Ok((Divisor::Counted(counts.f_gt(0)?.f_sum(Kind::Int64)?), shares));
    }
    let counts = Vec::<i64>::try_from(counts)?;
    let shares: Vec<f64> = counts.iter().map(|&count| 1.0 / count.max(1) as f64).collect();
    let divisor = counts.iter().filter(|&&count| count > 0).count();
    Ok((Divisor::Number(divisor as f64), Tensor::f_from_slice(&shares)?))
}

impl Divisor {
    /// As the second number of a pair, which is summed before it divides. The entries themselves count as a sum.
    pub(crate) fn weight(self, device: Device) -> Result<Tensor> {
        match self {
            Self::Entries => Self::Number(1.0).weight(device),
            Self::Number(number) => Ok(Tensor::f_from_slice(&[number])?.f_reshape([0i64; 0])?.f_to_device(device)?),
            Self::Counted(count) => Ok(count),
        }
    }

    /// The number, known without waiting if the labels are on the CPU; `None` for the entries themselves.
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
