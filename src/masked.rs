//! The composed path, and the masking that every loss shares.

use tch::{Kind, Tensor};

use crate::{Composed, Elementwise, Labels, Reduction, Result};

/// The kind to compute in: half precision holds neither sums nor counts.
pub(crate) fn compute_kind(tensor: &Tensor) -> Result<Kind> {
    Ok(if tensor.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float })
}

/// An input that any loss can be evaluated at: it stands in for a missing one.
pub(crate) fn safe<E: Elementwise + ?Sized>(loss: &E) -> f64 {
    let accepted = loss.inputs();
    let middle = 0.5 * (accepted.start() + accepted.end());
    if middle.is_nan() { 0.0 } else { middle }
}

pub(crate) fn forward<E: Elementwise + ?Sized>(
    loss: &E,
    input: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    let kind = compute_kind(input)?;
    let missing = labels.missing()?;
    // Filled before and after, never multiplied: NaN * 0 is NaN, and so is its gradient.
    let x = Composed::new(input.f_to_kind(kind)?.f_masked_fill(&missing, safe(loss))?);
    let y = Composed::new(labels.cells().f_to_kind(kind)?.f_masked_fill(&missing, 0.0)?);
    let entry = match loss.parameter() {
        Some(parameter) => loss.entry_with(
            &x,
            &y,
            &Composed::new(Tensor::f_from_slice(parameter)?.f_to_kind(kind)?.f_to_device(input.device())?),
        ),
        None => loss.entry(&x, &y),
    };
    let mut entry = entry.finish()?;
    if let Some(weights) = labels.weights() {
        entry = entry.f_mul(&weights.f_to_kind(kind)?)?;
    }
    let entry = entry.f_masked_fill(&missing, 0.0)?;
    Ok(match reduction {
        Reduction::None => entry,
        Reduction::Sum => entry.f_sum(kind)?,
        // No epsilon: where nothing is observed the sum is 0 and so is the mean.
        Reduction::Mean => entry.f_sum(kind)?.f_div(&labels.observed_count()?.f_clamp_min(1)?)?,
    })
}
