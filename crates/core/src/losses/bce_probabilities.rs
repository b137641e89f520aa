use std::ops::RangeInclusive;

use super::elementwise::Elementwise;
use crate::{Real, settings};

/// Binary cross entropy from probabilities. If you have logits, prefer [`BceWithLogits`](super::BceWithLogits): a
/// probability cannot come closer to 1 than its dtype's epsilon.
///
/// `ℓ(p, y) = −[y·max(ln p, −100) + (1 − y)·max(ln(1 − p), −100)]`, with gradient `(p − y) / max(p(1 − p), 1e−12)`.
///
/// * Shapes: probabilities and labels `[N, C]` (any rank from 1).
/// * Labels and probabilities: within [0, 1]. Checking the probabilities synchronises a GPU.
/// * Errors: see `Loss::forward`.
/// * Source: PyTorch's `binary_cross_entropy`, including its clamp at −100 and the floor in its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BceProbabilities;

/// PyTorch's lower bound of `p(1 − p)` in the gradient: 1e-12, an `f32` for every dtype.
const FLOOR: f64 = 1e-12_f32 as f64;

/// `ln(1 − p)`, corrected for the rounding of `1 − p`. Where p is small, the correction is the whole result.
#[inline(always)]
fn ln_one_minus<R: Real>(p: &R) -> R {
    let q = p.one_minus();
    let lost = q.one_minus() - p;
    q.ln() + lost / q.at_least(FLOOR)
}

settings!(BceProbabilities {});

impl Elementwise for BceProbabilities {
    #[inline(always)]
    fn entry<R: Real>(&self, p: &R, y: &R) -> R {
        let cross_entropy = |ln_p: R, ln_q: R| -(ln_p * y + ln_q * y.one_minus());
        let spread = p.clone() * p.one_minus();
        // Within 1e-12 of 0 or 1, the value is unchanged and the slope is (p − y)/1e-12, as of a parabola through it.
        // The whole value is detached, since the slope of ln p is infinite where p is subnormal.
        let edge_value = cross_entropy(p.ln().at_least(-100.0), ln_one_minus(p).at_least(-100.0)).detach();
        let still = p.detach();
        let edge = edge_value + (p.clone() - &still) * ((still + p).scale(0.5) - y).scale(1.0 / FLOOR);
        let inner = spread.select_lt(FLOOR, &p.constant(0.5), p);
        spread.select_lt(FLOOR, &edge, &cross_entropy(inner.ln(), ln_one_minus(&inner)))
    }

    fn input_range(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }
}
