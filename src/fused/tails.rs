//! What sigmoids are made of.

use std::cell::Cell;
use std::fmt::Debug;

use super::float::{Float, exp_below_one, log1p_unit};

/// The parts of `σ(±x)` and `ln σ(±x)`.
pub(crate) trait Tails<F>: Copy + Debug {
    /// `σ(|x|)`
    fn near(&self) -> F;
    /// `σ(−|x|)`
    fn far(&self) -> F;
    /// `−ln σ(|x|)`
    fn log(&self) -> F;
}

/// The numbers themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<F> {
    pub(crate) near: F,
    pub(crate) far: F,
    pub(crate) log: F,
}

impl<F: Float> Known<F> {
    #[inline(always)]
    pub(crate) fn at<const FMA: bool>(x: F) -> Self {
        Self::of::<FMA>(tail::<F, FMA>(x))
    }

    /// From `e^−|x|`.
    #[inline(always)]
    pub(crate) fn of<const FMA: bool>(tail: F) -> Self {
        let near = F::ONE / (F::ONE + tail);
        Self { near, far: near * tail, log: log1p_unit::<F, FMA>(tail) }
    }
}

impl<F: Float> Tails<F> for Known<F> {
    #[inline(always)]
    fn near(&self) -> F {
        self.near
    }
    #[inline(always)]
    fn far(&self) -> F {
        self.far
    }
    #[inline(always)]
    fn log(&self) -> F {
        self.log
    }
}

/// `e^−|x|`: never overflows, and is the same for x and −x.
#[inline(always)]
pub(crate) fn tail<F: Float, const FMA: bool>(x: F) -> F {
    exp_below_one::<F, FMA>(-x.abs())
}

/// Stands in for the numbers, to find out whether a formula takes any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorder<'a>(pub(crate) &'a Cell<bool>);

impl<F: Float> Tails<F> for Recorder<'_> {
    fn near(&self) -> F {
        self.0.set(true);
        F::ONE
    }
    fn far(&self) -> F {
        <Self as Tails<F>>::near(self)
    }
    fn log(&self) -> F {
        <Self as Tails<F>>::near(self)
    }
}
