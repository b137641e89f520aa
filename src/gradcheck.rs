use std::fmt;

use tch::{Kind, Tensor};

use crate::{Backend, Error, Labels, Loss, Reduction, Result};

/// The result of [`gradcheck`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GradReport {
    /// How many entries were compared.
    pub entries: usize,
    /// The entry where autograd and the central difference differ most, over all backends; `None` without entries.
    pub worst: Option<Mismatch>,
    /// Every missing entry whose gradient is not exactly zero, in row-major order. Must be empty.
    pub leaks: Vec<(Backend, usize, f64)>,
}

/// One entry's gradient, computed in two ways.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Mismatch {
    /// The backend whose gradient this is.
    pub backend: Backend,
    /// The entry, in row-major order.
    pub entry: usize,
    /// The gradient from backward.
    pub autograd: f64,
    /// The gradient from the central difference.
    pub numeric: f64,
}

impl Mismatch {
    /// `|autograd − numeric| / max(1, |numeric|)`; infinite if one of them is NaN.
    pub fn error(&self) -> f64 {
        let error = (self.autograd - self.numeric).abs() / self.numeric.abs().max(1.0);
        if error.is_nan() { f64::INFINITY } else { error }
    }
}

impl GradReport {
    /// Whether there is no leak, and no error above `tolerance`. Central differences in `f64` resolve about 1e-6.
    pub fn passes(&self, tolerance: f64) -> bool {
        self.leaks.is_empty() && self.worst.is_none_or(|worst| worst.error() <= tolerance)
    }
}

impl fmt::Display for GradReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.entries)?;
        if let Some(worst) = self.worst {
            let Mismatch { backend, entry, autograd, numeric } = worst;
            write!(f, ", worst error {:.1e} at entry {entry} ({backend:?}", worst.error())?;
            write!(f, ": autograd {autograd:e}, numeric {numeric:e})")?;
        }
        write!(f, ", {} missing entries with a gradient", self.leaks.len())
    }
}

/// Compares the gradient of `Σ ℓ` from backward, on every backend that supports the loss, with central differences in
/// `f64`.
///
/// Evaluates the loss `2·N·C` times: meant for small tensors. The step is `h = ε^⅓ · max(1, |x|)`. The result is
/// meaningless for points within `h` of a kink, or of a bound of the inputs that the loss accepts.
///
/// # Errors
/// As [`Loss::forward`].
pub fn gradcheck(loss: &dyn Loss, logits: &Tensor, labels: &Labels) -> Result<GradReport> {
    let at = logits.f_detach()?.f_to_kind(Kind::Double)?.f_contiguous()?;
    let missing: Vec<bool> = Vec::try_from(&labels.missing()?.f_reshape([-1])?)?;
    let numeric = central_differences(loss, &at, labels)?;
    let mut report = GradReport { entries: numeric.len(), worst: None, leaks: Vec::new() };
    for backend in [Backend::Composed, Backend::Fused] {
        let gradient = match backward(loss, backend, &at, labels) {
            Err(Error::Fused(_)) => continue,
            gradient => gradient?,
        };
        for (entry, (&autograd, &numeric)) in gradient.iter().zip(&numeric).enumerate() {
            let found = Mismatch { backend, entry, autograd, numeric };
            // A label may belong to several logits: in a softmax, to a row of them.
            let label = entry * missing.len() / report.entries;
            if missing.get(label) == Some(&true) && autograd != 0.0 {
                report.leaks.push((backend, entry, autograd));
            }
            if report.worst.is_none_or(|worst| found.error() > worst.error()) {
                report.worst = Some(found);
            }
        }
    }
    Ok(report)
}

fn backward(loss: &dyn Loss, backend: Backend, at: &Tensor, labels: &Labels) -> Result<Vec<f64>> {
    let leaf = at.f_detach_copy()?.f_set_requires_grad(true)?;
    loss.forward_on(backend, &leaf, labels, Reduction::Sum)?.f_backward()?;
    Ok(Vec::try_from(&leaf.f_grad()?.f_reshape([-1])?)?)
}

fn central_differences(loss: &dyn Loss, at: &Tensor, labels: &Labels) -> Result<Vec<f64>> {
    let _no_grad = tch::no_grad_guard();
    let moved = at.f_detach_copy()?;
    let flat = moved.f_view([-1])?;
    let value =
        || loss.forward_on(Backend::Composed, &moved, labels, Reduction::Sum)?.f_double_value(&[]).map_err(Error::from);
    let points: Vec<f64> = Vec::try_from(&flat)?;
    let mut slopes = Vec::with_capacity(points.len());
    for (entry, &x) in points.iter().enumerate() {
        let step = f64::EPSILON.cbrt() * if x.is_finite() { x.abs().max(1.0) } else { 1.0 };
        let mut cell = flat.f_select(0, entry as i64)?;
        let _ = cell.f_fill_(x + step)?;
        let above = value()?;
        let _ = cell.f_fill_(x - step)?;
        let below = value()?;
        let _ = cell.f_fill_(x)?;
        // Divided by the step that was really taken, after rounding.
        let taken = (x + step) - (x - step);
        slopes.push(if above == below { 0.0 } else { (above - below) / taken });
    }
    Ok(slopes)
}
