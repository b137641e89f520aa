//! A last layer with its loss.

mod linear;
mod observed;

use masked_loss_core::Entries;
use tch::{Device, Kind, Tensor};

pub use self::linear::{Head, Linear};
use super::accept;
use crate::composed::TensorFormula;
use crate::plan::Plan;
use crate::{Error, Labels, Reduction, Result};

/// An observed logit, computed for itself, takes about the time of so many in a multiplication of matrices.
const OF_A_MATRIX: f64 = 8.0;
/// A multiplication of matrices takes the time of so many labels more: those of small ones are slow.
const LABELS_MORE: i64 = 50;

/// A layer of which only the observed logits are to be computed, and its plan.
pub(super) struct Observed<'a> {
    entries: Entries<'a, dyn TensorFormula + 'a>,
    hidden: &'a Tensor,
    linear: &'a Linear<'a>,
    /// Sparse.
    labels: Labels,
    plan: Plan,
}

/// None where all logits are to be computed.
pub(super) fn observed<'a>(
    entries: Entries<'a, dyn TensorFormula + 'a>,
    hidden: &'a Tensor,
    linear: &'a Linear<'a>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Option<Observed<'a>>> {
    linear.check(hidden, labels)?;
    if !choose(entries, hidden, linear, labels, reduction)? {
        return Ok(None);
    }
    accept::labels(entries, labels)?;
    let labels = labels.to_sparse()?;
    let plan = reduction.plan(&labels, false)?;
    Ok(Some(Observed { entries, hidden, linear, labels, plan }))
}

impl Observed<'_> {
    pub(super) fn mean(self) -> Result<Tensor> {
        let divisor = self.plan.divisor.number()?.unwrap_or(1.0);
        self.over(divisor)
    }

    pub(super) fn sum_and_weight(self) -> Result<(Tensor, Tensor)> {
        let sum = self.over(1.0)?;
        Ok((sum, self.plan.divisor.weight(Device::Cpu)?))
    }

    fn over(&self, divisor: f64) -> Result<Tensor> {
        observed::forward(self.entries, self.hidden, self.linear, &self.labels, &self.plan.weights, divisor)
    }
}

/// Whether only the observed logits are computed.
fn choose(
    entries: Entries<'_, dyn TensorFormula + '_>,
    hidden: &Tensor,
    linear: &Linear<'_>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<bool> {
    let obstacle = if hidden.device() != Device::Cpu {
        Some("runs on the CPU")
    } else if entries.missing.is_some() {
        Some("leaves missing entries out, and this loss counts them")
    } else if reduction == Reduction::None {
        Some("has no loss for each entry of a matrix")
    } else {
        None
    };
    match (linear.head, obstacle) {
        (Head::Dense, _) => Ok(false),
        (Head::Observed, Some(obstacle)) => Err(Error::Head(obstacle.into())),
        (Head::Observed, None) => Ok(true),
        (Head::Auto, Some(_)) => Ok(false),
        (Head::Auto, None) => {
            let size = labels.size();
            let all = (size[0] * (size[1] + LABELS_MORE)) as f64;
            let half = matches!(hidden.f_kind()?, Kind::Half | Kind::BFloat16);
            Ok(!half && OF_A_MATRIX * labels.observed_count()?.f_double_value(&[])? <= all)
        }
    }
}
