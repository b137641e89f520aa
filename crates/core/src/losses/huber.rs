use std::ops::RangeInclusive;

use super::elementwise::{Elementwise, REAL};
use crate::{Real, Result, check_setting, settings};

/// Huber loss, for regression: squared near the label, absolute far from it.
///
/// `ℓ(x, y) = e²/2` where `|e| < δ`, else `δ(|e| − δ/2)`, with `e = x − y`. Its gradient is `e`, clamped to `±δ`.
///
/// * Shapes: predictions and labels `[N, C]` (any rank from 1).
/// * Labels: any real number.
/// * Errors: see `Loss::forward`.
/// * Source: Huber 1964, *Robust Estimation of a Location Parameter*; PyTorch's `huber_loss`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Huber {
    /// `δ > 0`, finite as `f32`: errors below it are squared.
    pub delta: f64,
}

impl Default for Huber {
    /// `δ` 1, as in PyTorch.
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

settings!(Huber { delta: Number(f64), with_delta });

impl Elementwise for Huber {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let size = (x.clone() - y).abs();
        // Clamped to δ: if e is infinite, so is the slope of e², and multiplying that by 0 gives NaN.
        let near = size.select_lt(self.delta, &size, &size.constant(self.delta));
        let far = size.shift(-0.5 * self.delta).scale(self.delta);
        size.select_lt(self.delta, &(near.scale(0.5) * near), &far)
    }

    fn label_range(&self) -> RangeInclusive<f64> {
        REAL
    }

    fn validate(&self) -> Result<()> {
        check_setting("delta", self.delta, f32::MIN_POSITIVE.into()..=f32::MAX.into())
    }
}
