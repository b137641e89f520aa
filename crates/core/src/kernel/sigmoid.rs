//! The parts that sigmoids are computed from.

use crate::simd::float::{Float, exp_below_one, log1p_unit};

/// The parts of `σ(±x)` and `ln σ(±x)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sigmoid<F> {
    /// `σ(|x|)`
    pub(crate) near: F,
    /// `σ(−|x|)`
    pub(crate) far: F,
    /// `−ln σ(|x|)`
    pub(crate) log: F,
}

impl<F: Float> Sigmoid<F> {
    #[inline(always)]
    pub(crate) fn at<const FMA: bool>(x: F) -> Self {
        Self::of::<FMA>(exp_of_minus_size::<F, FMA>(x))
    }

    /// From `e^−|x|`.
    #[inline(always)]
    pub(crate) fn of<const FMA: bool>(exp: F) -> Self {
        let near = F::ONE / (F::ONE + exp);
        Self { near, far: near * exp, log: log1p_unit::<F, FMA>(exp) }
    }
}

/// `e^−|x|`: never overflows, and is the same for x and −x.
#[inline(always)]
pub(crate) fn exp_of_minus_size<F: Float, const FMA: bool>(x: F) -> F {
    exp_below_one::<F, FMA>(-x.abs())
}
