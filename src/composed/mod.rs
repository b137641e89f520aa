//! The composed backend: libtorch's operations on a filled matrix.

mod formula;
mod tensor;

use masked_loss_core::{Assumed, Entries};
use tch::{Kind, Tensor};

pub(crate) use self::formula::{TensorFormula, without_tensors};
pub use self::tensor::Composed;
use crate::labels::Factors;
use crate::plan::Divisor;
use crate::{Labels, Result};

/// The kind to compute in: half precision is too coarse for sums and counts.
pub(crate) fn compute_kind(tensor: &Tensor) -> Result<Kind> {
    Ok(if tensor.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float })
}

/// An input that the loss accepts, to fill entries that do not count.
pub(crate) fn safe(formula: &(dyn TensorFormula + '_)) -> f64 {
    let accepted = formula.input_range();
    let middle = 0.5 * (accepted.start() + accepted.end());
    if middle.is_nan() { 0.0 } else { middle }
}

/// Computes the loss, with `weights` instead of the labels' own.
pub(crate) fn forward(
    entries: Entries<'_, dyn TensorFormula + '_>,
    input: &Tensor,
    labels: &Labels,
    weights: &Factors,
    divisor: &Divisor,
) -> Result<Tensor> {
    let kind = compute_kind(input)?;
    let (missing, size, weights) = (labels.missing()?, labels.size(), labels.own(weights)?);
    let input = input.f_to_kind(kind)?;
    let left_out = weights.or_zero(missing.shallow_clone(), &size)?;
    let observed = labels.cells()?.f_to_kind(kind)?;
    let mut result = masked(entries, entries.observed, &input, &observed, &left_out)?;
    if let Some(Assumed { formula, label, weight }) = entries.missing {
        let labels = input.f_detach()?.f_full_like(label)?;
        let left_out = weights.or_zero(missing.f_logical_not()?, &size)?;
        let assumed = masked(entries, formula, &input, &labels, &left_out)?;
        result = result.f_add(&assumed.f_mul_scalar(weight)?)?;
    }
    divisor.apply(weights.multiply(result, &size, kind)?, kind)
}

/// The loss of each entry, 0 for those that are left out.
fn masked(
    entries: Entries<'_, dyn TensorFormula + '_>,
    formula: &(dyn TensorFormula + '_),
    input: &Tensor,
    labels: &Tensor,
    left_out: &Tensor,
) -> Result<Tensor> {
    let parameter = match entries.parameter(formula) {
        Some(numbers) => {
            let numbers = Tensor::f_from_slice(numbers)?.f_to_kind(input.f_kind()?)?;
            Some(Composed::new(numbers.f_to_device(input.device())?))
        }
        None => None,
    };
    // Filled before and after, never multiplied: NaN * 0 is NaN, and so is its gradient.
    let x = Composed::new(input.f_masked_fill(left_out, safe(formula))?);
    let y = Composed::new(labels.f_masked_fill(left_out, 0.0)?);
    Ok(formula.compose(&x, &y, parameter.as_ref()).finish()?.f_masked_fill(left_out, 0.0)?)
}
