//! The update of one weight, and the loops over weights. No step uses fused multiply-add, so that all levels of
//! instructions give the same bits.

use super::{Moments, Step};
use crate::simd::Job;
use crate::simd::float::Float;

/// Consecutive weights and their optimizer state.
pub(super) struct Piece<'a, F> {
    pub(super) weight: &'a mut [F],
    pub(super) first: &'a mut [F],
    /// Empty if the rule has none.
    pub(super) second: &'a mut [F],
}

/// One step with these gradients.
pub(super) struct Stepped<'a, F> {
    pub(super) piece: Piece<'a, F>,
    pub(super) step: &'a Step,
    pub(super) gradient: &'a [F],
}

/// Several steps with a gradient of zero.
pub(super) struct Replayed<'a, F> {
    pub(super) piece: Piece<'a, F>,
    pub(super) steps: &'a [Step],
}

impl<F: Float> Job for Stepped<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { piece: Piece { weight, first, second }, step, gradient } = self;
        match step {
            Step::Momentum { momentum, rate, decay } => {
                let rule = Momentum::new(*momentum, *rate, *decay);
                for ((weight, first), &gradient) in weight.iter_mut().zip(first).zip(gradient) {
                    (*weight, *first) = rule.apply(*weight, *first, gradient);
                }
            }
            Step::Moments(moments) => {
                let rule = Adam::new(moments);
                for (((weight, first), second), &gradient) in weight.iter_mut().zip(first).zip(second).zip(gradient) {
                    (*weight, *first, *second) = rule.apply(*weight, *first, *second, gradient);
                }
            }
        }
    }
}

impl<F: Float> Job for Replayed<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { piece: Piece { weight, first, second }, steps } = self;
        let zero = F::default();
        // First numbers that are 0 stay 0, and then a weight does not move unless it decays.
        let mut rests = false;
        for step in steps {
            match step {
                Step::Momentum { momentum, rate, decay } => {
                    rests = rests || *decay == 0.0 && are_zero(first);
                    if rests {
                        return;
                    }
                    let rule = Momentum::new(*momentum, *rate, *decay);
                    for (weight, first) in weight.iter_mut().zip(first.iter_mut()) {
                        (*weight, *first) = rule.apply(*weight, *first, zero);
                    }
                }
                Step::Moments(moments) => {
                    let rule = Adam::new(moments);
                    rests = rests || moments.decay == 0.0 && moments.shrink == 1.0 && are_zero(first);
                    if rests {
                        second.iter_mut().for_each(|second| *second = rule.second(*second, zero));
                        continue;
                    }
                    for ((weight, first), second) in weight.iter_mut().zip(first.iter_mut()).zip(second.iter_mut()) {
                        (*weight, *first, *second) = rule.apply(*weight, *first, *second, zero);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn are_zero<F: Float>(numbers: &[F]) -> bool {
    numbers.iter().all(|number| *number == F::default())
}

/// 0 instead of a subnormal number, which takes processors many times as long to compute with.
#[inline(always)]
fn flushed<F: Float>(number: F) -> F {
    number.or_zero((number.abs() >= F::MIN_POSITIVE) | number.is_nan())
}

struct Momentum<F> {
    momentum: F,
    rate: F,
    decay: F,
}

impl<F: Float> Momentum<F> {
    #[inline(always)]
    fn new(momentum: f64, rate: f64, decay: f64) -> Self {
        let [momentum, rate, decay] = [momentum, rate, decay].map(F::from_f64);
        Self { momentum, rate, decay }
    }

    #[inline(always)]
    fn apply(&self, weight: F, first: F, gradient: F) -> (F, F) {
        let first = flushed(self.momentum * first + (gradient + self.decay * weight));
        (weight - self.rate * first, first)
    }
}

struct Adam<F> {
    shrink: F,
    decay: F,
    gains: [F; 2],
    keep: F,
    rate: F,
    scale: F,
    epsilon: F,
}

impl<F: Float> Adam<F> {
    #[inline(always)]
    fn new(moments: &Moments) -> Self {
        let Moments { shrink, decay, gains, keep, rate, scale, epsilon } = *moments;
        let [shrink, decay, keep, rate, scale, epsilon] = [shrink, decay, keep, rate, scale, epsilon].map(F::from_f64);
        Self { shrink, decay, gains: gains.map(F::from_f64), keep, rate, scale, epsilon }
    }

    #[inline(always)]
    fn apply(&self, weight: F, first: F, second: F, gradient: F) -> (F, F, F) {
        let weight = self.shrink * weight;
        let gradient = gradient + self.decay * weight;
        let first = flushed(first + self.gains[0] * (gradient - first));
        let second = self.second(second, gradient);
        (weight - self.rate * first / (self.scale * second.sqrt() + self.epsilon), first, second)
    }

    #[inline(always)]
    fn second(&self, second: F, gradient: F) -> F {
        flushed(self.keep * second + self.gains[1] * gradient * gradient)
    }
}
