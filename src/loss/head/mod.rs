//! A last layer with its loss.

mod chunked;
mod linear;
mod observed;

use masked_loss_core::Entries;
use tch::{Device, Kind, Tensor};

pub use self::linear::{Head, Linear};
use super::accept;
use crate::composed::TensorFormula;
use crate::plan::{Divisor, Plan};
use crate::{Labels, Reduction, Result};

/// An observed logit, computed for itself, takes about the time of so many in a multiplication of matrices.
const OF_A_MATRIX: f64 = 8.0;
/// A multiplication of matrices takes the time of so many labels more: those of small ones are slow.
const LABELS_MORE: i64 = 50;
/// From so many logits on, some labels at a time take no more time than all at once, and less memory.
const MANY: i64 = 1 << 24;

/// A layer with its loss in one, and its plan.
pub(super) struct Joint<'a> {
    way: Way,
    entries: Entries<'a, dyn TensorFormula + 'a>,
    hidden: &'a Tensor,
    linear: &'a Linear<'a>,
    labels: Labels,
    plan: Plan,
}

enum Way {
    Chunked,
    /// Of sparse labels.
    Observed,
}

/// None where logits and loss are computed one after the other.
pub(super) fn joint<'a>(
    entries: Entries<'a, dyn TensorFormula + 'a>,
    hidden: &'a Tensor,
    linear: &'a Linear<'a>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Option<Joint<'a>>> {
    linear.check(hidden, labels)?;
    let Some(way) = choose(entries, hidden, linear, labels, reduction)? else { return Ok(None) };
    accept::labels(entries, labels)?;
    let labels = match way {
        Way::Chunked => labels.clone(),
        Way::Observed => labels.observed_alone()?,
    };
    let plan = reduction.plan(&labels, entries.missing.is_some())?;
    Ok(Some(Joint { way, entries, hidden, linear, labels, plan }))
}

impl Joint<'_> {
    pub(super) fn mean(self) -> Result<Tensor> {
        self.over(&self.plan.divisor)
    }

    pub(super) fn sum_and_weight(self) -> Result<(Tensor, Tensor)> {
        let sum = self.over(&Divisor::Number(1.0))?;
        Ok((sum, self.plan.divisor.weight(self.hidden.device())?))
    }

    fn over(&self, divisor: &Divisor) -> Result<Tensor> {
        let Self { way, entries, hidden, linear, labels, plan } = self;
        match way {
            Way::Chunked => chunked::forward(*entries, hidden, linear, labels, &plan.weights, divisor),
            Way::Observed => {
                let divisor = divisor.number()?.unwrap_or(1.0);
                observed::forward(*entries, hidden, linear, labels, &plan.weights, divisor)
            }
        }
    }
}

fn choose(
    entries: Entries<'_, dyn TensorFormula + '_>,
    hidden: &Tensor,
    linear: &Linear<'_>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Option<Way>> {
    let whole = (reduction == Reduction::None).then_some("has no loss for each entry of a matrix");
    let observed = match () {
        _ if whole.is_some() => whole,
        _ if hidden.device() != Device::Cpu => Some("runs on the CPU"),
        _ if entries.missing.is_some() => Some("leaves missing entries out, and this loss counts them"),
        _ => None,
    };
    let (obstacle, way) = match linear.head {
        Head::Dense => return Ok(None),
        Head::Chunked => (whole, Way::Chunked),
        Head::Observed => (observed, Way::Observed),
        Head::Auto if whole.is_some() || hidden.device() != Device::Cpu || is_half(hidden)? => return Ok(None),
        Head::Auto if observed.is_none() && are_few(labels)? => (None, Way::Observed),
        Head::Auto if labels.size().iter().product::<i64>() >= MANY => (None, Way::Chunked),
        Head::Auto => return Ok(None),
    };
    match obstacle {
        Some(obstacle) => Err(linear.head.refuses(obstacle)),
        None => Ok(Some(way)),
    }
}

fn is_half(hidden: &Tensor) -> Result<bool> {
    Ok(matches!(hidden.f_kind()?, Kind::Half | Kind::BFloat16))
}

/// Whether so few labels are observed that their logits alone are likely to take less time.
fn are_few(labels: &Labels) -> Result<bool> {
    let size = labels.size();
    let all = (size[0] * (size[1] + LABELS_MORE)) as f64;
    Ok(OF_A_MATRIX * labels.observed_count()?.f_double_value(&[])? <= all)
}
