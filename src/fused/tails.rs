//! What sigmoids are made of, computed once for all that a formula takes of ±x, in loops of their own: a loop over the
//! whole formula would be one long chain of dependent steps, of which a processor overlaps too few.

use std::cell::Cell;
use std::fmt::Debug;

use super::float::{Float, exp_below_one, log1p_unit};
use super::simd::Job;

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
        // Never overflows, and is the same for x and −x.
        let tail = exp_below_one::<F, FMA>(-x.abs());
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

/// Which of them a formula takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) sigmoid: bool,
    pub(crate) log: bool,
}

/// Stands in for the numbers, to find out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorder<'a>(pub(crate) &'a Cell<Uses>);

impl<F: Float> Tails<F> for Recorder<'_> {
    fn near(&self) -> F {
        self.0.set(Uses { sigmoid: true, ..self.0.get() });
        F::ONE
    }
    fn far(&self) -> F {
        <Self as Tails<F>>::near(self)
    }
    fn log(&self) -> F {
        self.0.set(Uses { log: true, ..self.0.get() });
        F::ONE
    }
}

/// Computes those that are used, for all of `input`.
pub(crate) struct Fill<'a, F> {
    pub(crate) uses: Uses,
    pub(crate) input: &'a [F],
    pub(crate) near: &'a mut [F],
    pub(crate) far: &'a mut [F],
    pub(crate) log: &'a mut [F],
}

impl<F: Float> Job for Fill<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        if self.uses == Uses::default() {
            return;
        }
        for (tail, &x) in self.far.iter_mut().zip(self.input) {
            *tail = exp_below_one::<F, FMA>(-x.abs());
        }
        match self.uses {
            Uses { sigmoid: true, log: true } => self.rest::<FMA, true, true>(),
            Uses { sigmoid: true, log: false } => self.rest::<FMA, true, false>(),
            _ => self.rest::<FMA, false, true>(),
        }
    }
}

impl<F: Float> Fill<'_, F> {
    /// The rest, from `e^−|x|` in `far`.
    #[inline(always)]
    fn rest<const FMA: bool, const SIGMOID: bool, const LOG: bool>(&mut self) {
        let n = self.input.len();
        let (near, far, log) = (&mut self.near[..n], &mut self.far[..n], &mut self.log[..n]);
        for i in 0..n {
            let tail = far[i];
            if LOG {
                log[i] = log1p_unit::<F, FMA>(tail);
            }
            if SIGMOID {
                near[i] = F::ONE / (F::ONE + tail);
                far[i] = near[i] * tail;
            }
        }
    }
}
