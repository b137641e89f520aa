use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// Negative entropy of a prediction, whatever the label: the loss of missing entries in entropy maximisation.
///
/// `ℓ(x) = −α·H(p)` with `p = σ(x)`, `H(p) = −p·ln p − (1 − p)·ln(1 − p)`, and gradient `α·x·p(1 − p)`.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1).
/// * Labels: within [0, 1], and not used.
/// * Errors: see `Loss::forward`.
/// * Source: Zhou et al. 2022, *Acknowledging the Unknown for Multi-Label Learning with Single Positive Labels*.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct NegativeEntropy {
    /// `α ≥ 0`
    pub alpha: f64,
}

impl Default for NegativeEntropy {
    /// `α` 0.1.
    fn default() -> Self {
        Self { alpha: 0.1 }
    }
}

settings!(NegativeEntropy { alpha: Number(f64), with_alpha });

impl Elementwise for NegativeEntropy {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, _: &R) -> R {
        // H is even, and H(p) = |x|·σ(−|x|) − ln σ(|x|): two terms of one sign.
        let size = x.size();
        let (positive, negative) = (size.log_sigmoid(), (-size.clone()).sigmoid());
        // σ(−|x|) underflows to 0 long before |x| is infinite, and ∞ · 0 is NaN.
        let held = size.select_lt(1e4, &size, &size.constant(1e4));
        (positive - held * negative).scale(self.alpha)
    }

    fn validate(&self) -> Result<()> {
        check_setting("alpha", self.alpha, 0.0..=f64::MAX)
    }
}
