use std::ops::RangeInclusive;

use super::elementwise::{Elementwise, REAL};
use crate::{Real, settings};

/// Absolute error, for regression.
///
/// `ℓ(x, y) = |x − y|`, with gradient `sign(x − y)`: 0 where the two are equal.
///
/// * Shapes: predictions and labels `[N, C]` (any rank from 1).
/// * Labels: any real number.
/// * Errors: see `Loss::forward`.
/// * Source: PyTorch's `l1_loss`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AbsoluteError;

settings!(AbsoluteError {});

impl Elementwise for AbsoluteError {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        (x.clone() - y).abs()
    }

    fn label_range(&self) -> RangeInclusive<f64> {
        REAL
    }
}
