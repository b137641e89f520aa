//! A last layer with its loss.

mod linear;
mod observed;

use masked_loss_core::Entries;
use tch::{Device, Kind, Tensor};

pub use self::linear::{Head, Linear};
use super::accept;
use crate::composed::TensorFormula;
use crate::plan::Divisor;
use crate::{Error, Labels, Reduction, Result};

/// An observed logit, computed for itself, takes about the time of so many in a multiplication of matrices.
const OF_A_MATRIX: f64 = 8.0;
/// A multiplication of matrices takes the time of so many labels more: those of small ones are slow.
const LABELS_MORE: i64 = 50;

/// Where only the observed logits are to be computed: their loss over a divisor, and what divided or is to divide it.
pub(crate) fn observed(
    entries: Entries<'_, dyn TensorFormula + '_>,
    hidden: &Tensor,
    linear: &Linear<'_>,
    labels: &Labels,
    reduction: Reduction,
    divide: bool,
) -> Result<Option<(Tensor, Divisor)>> {
    linear.check(hidden, labels)?;
    if !choose(entries, hidden, linear, labels, reduction)? {
        return Ok(None);
    }
    accept::labels(entries, labels)?;
    let labels = labels.to_sparse()?;
    let plan = reduction.plan(&labels, false)?;
    let divisor = if divide { plan.divisor.number()?.unwrap_or(1.0) } else { 1.0 };
    let loss = observed::forward(entries, hidden, linear, &labels, &plan.weights, divisor)?;
    Ok(Some((loss, plan.divisor)))
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
