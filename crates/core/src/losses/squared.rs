use std::ops::RangeInclusive;

use super::elementwise::{Elementwise, REAL};
use crate::{Real, settings};

/// Squared error, for regression.
///
/// `ℓ(x, y) = (x − y)²`, with gradient `2(x − y)`.
///
/// * Shapes: predictions and labels `[N, C]` (any rank from 1).
/// * Labels: any real number.
/// * Errors: see `Loss::forward`.
/// * Source: PyTorch's `mse_loss`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SquaredError;

settings!(SquaredError {});

impl Elementwise for SquaredError {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let error = x.clone() - y;
        error.clone() * error
    }

    fn label_range(&self) -> RangeInclusive<f64> {
        REAL
    }
}
