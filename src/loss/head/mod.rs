//! A last layer with its loss.

mod chunked;
mod joint;
mod linear;
mod observed;
mod packed;

use masked_loss_core::Entries;
use tch::{Device, Kind, Tensor};

use self::joint::Joint;
pub use self::linear::{Head, Linear};
use super::backend::Backend;
use super::{accept, call};
use crate::composed::TensorFormula;
use crate::plan::Divisor;
use crate::{Labels, Reduction, Result};

/// Computing one observed logit by itself takes about as long as computing this many in a matrix multiplication.
const OF_A_MATRIX: f64 = 8.0;
/// The overhead of a matrix multiplication, in labels: small multiplications are slow.
const LABELS_MORE: i64 = 50;
/// From this many logits on, a chunk of labels at a time takes no longer than all at once, and less memory.
const MANY: i64 = 1 << 24;

/// The loss of a layer.
pub(super) fn forward(
    entries: Entries<'_, dyn TensorFormula + '_>,
    hidden: &Tensor,
    linear: &Linear<'_>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    match joint(entries, hidden, linear, labels, reduction)? {
        Some((way, joint)) => way.forward(&joint, &joint.plan.divisor),
        None => call::forward(entries, Backend::Auto, &linear.logits(hidden)?, labels, reduction),
    }
}

/// The sum and the weight of that loss.
pub(super) fn sum_and_weight(
    entries: Entries<'_, dyn TensorFormula + '_>,
    hidden: &Tensor,
    linear: &Linear<'_>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<(Tensor, Tensor)> {
    if linear.update.is_some() {
        return Err(linear.head.refuses("moves weights by a mean, not by a sum that others are added to"));
    }
    match joint(entries, hidden, linear, labels, reduction)? {
        Some((way, joint)) => {
            let sum = way.forward(&joint, &Divisor::Number(1.0))?;
            Ok((sum, joint.plan.divisor.weight(hidden.device())?))
        }
        None => call::sum_and_weight(entries, Backend::Auto, &linear.logits(hidden)?, labels, reduction),
    }
}

/// A way to compute logits and loss together.
enum Way {
    Chunked,
    Observed,
}

impl Way {
    fn forward(self, joint: &Joint<'_>, divisor: &Divisor) -> Result<Tensor> {
        match self {
            Self::Chunked => chunked::forward(joint, divisor),
            Self::Observed => observed::forward(joint, divisor),
        }
    }
}

/// `None` if logits and loss are computed one after the other.
fn joint<'a>(
    entries: Entries<'a, dyn TensorFormula + 'a>,
    hidden: &'a Tensor,
    linear: &'a Linear<'a>,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Option<(Way, Joint<'a>)>> {
    linear.check(hidden, labels)?;
    let Some(way) = choose(entries, hidden, linear, labels, reduction)? else { return Ok(None) };
    accept::labels(entries, labels)?;
    let labels = match way {
        Way::Chunked => labels.clone(),
        Way::Observed => labels.observed_alone()?,
    };
    let plan = reduction.plan(&labels, entries.missing.is_some())?;
    Ok(Some((way, Joint { entries, hidden, linear, labels, plan })))
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
        Head::Dense if linear.update.is_some() => (Some("computes gradients that move no weight"), Way::Chunked),
        Head::Dense => return Ok(None),
        Head::Chunked => (whole, Way::Chunked),
        Head::Observed => (observed, Way::Observed),
        Head::Auto if linear.update.is_some() => match observed.is_none() && are_few(labels)? {
            true => (None, Way::Observed),
            false => (whole, Way::Chunked),
        },
        Head::Auto if whole.is_some() || hidden.device() != Device::Cpu => return Ok(None),
        Head::Auto if observed.is_none() && are_few(labels)? => (None, Way::Observed),
        Head::Auto if !is_half(hidden)? && labels.size().iter().product::<i64>() >= MANY => (None, Way::Chunked),
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

/// Whether so few labels are observed that computing only their logits is likely to be faster.
fn are_few(labels: &Labels) -> Result<bool> {
    let size = labels.size();
    let all = (size[0] * (size[1] + LABELS_MORE)) as f64;
    Ok(OF_A_MATRIX * labels.observed_count()?.f_double_value(&[])? <= all)
}
