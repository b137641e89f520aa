use tch::Tensor;

use crate::composed::compute_kind;
use crate::{Composed, Error, Real, Result, check, check_setting};

/// Expected positive regularisation: a term of a whole batch. Add it to a loss in which only positives count: it pushes the
/// mean expected number of positives in a row towards `k`.
///
/// `((1/N)·Σ p − k)² / C²` with `p = σ(x)`, over all entries, observed or not. Its gradient is
/// `2·((1/N)·Σ p − k)·p(1 − p) / (N·C²)`. Without entries it is 0.
///
/// * Shapes: logits `[N, C]`; the term is a scalar, in `f32` where the logits are `f16` or `bf16`.
/// * Source: Cole et al. 2021, *Multi-Label Learning from Single Positive Labels* (EPR).
///
/// # Errors
/// [`Error::Shape`] for logits of another rank, [`Error::Kind`] where they are not `f64`, `f32`, `f16` or `bf16`;
/// [`Error::Range`] for a `k` outside [0, C]; [`Error::Torch`] for a failure of libtorch.
pub fn expected_positives(logits: &Tensor, k: f64) -> Result<Tensor> {
    check::floating("logits", logits)?;
    let &[rows, labels] = &logits.size()[..] else {
        return Err(Error::Shape { argument: "logits", expected: "[N, C]".into(), found: logits.size() });
    };
    check_setting("k", k, 0.0..=labels as f64)?;
    let kind = compute_kind(logits)?;
    let sum = Composed::new(logits.f_to_kind(kind)?).sigmoid().finish()?.f_sum(kind)?;
    if rows == 0 || labels == 0 {
        return Ok(sum);
    }
    let off = sum.f_div_scalar(rows as f64)?.f_sub_scalar(k)?;
    Ok(off.f_div_scalar(labels as f64)?.f_square()?)
}
