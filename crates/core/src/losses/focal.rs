use super::cross_entropy::cross_entropy;
use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// Sigmoid focal loss: cross entropy that fades where the model is already right.
///
/// `ℓ(x, y) = α_t · (1 − p_t)^γ · BCE(x, y)` with `p = σ(x)`, `p_t = p·y + (1 − p)(1 − y)` and
/// `α_t = α·y + (1 − α)(1 − y)`. Its gradient, for a positive: `α(1 − p)^γ (γ p ln p − (1 − p))`; for a negative:
/// `(1 − α) p^γ (p − γ(1 − p) ln(1 − p))`.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1).
/// * Labels: within [0, 1]; soft labels are treated as in torchvision.
/// * Errors: see `Loss::forward`. With `γ` below 1, the gradient is unbounded where `p_t` is 1, and
///   NaN where `1 − p_t` underflows to 0.
/// * Source: Lin et al. 2017, *Focal Loss for Dense Object Detection*; torchvision's `sigmoid_focal_loss`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SigmoidFocal {
    /// `α`: the weight of a positive; a negative has `1 − α`. With `None`, both have weight 1.
    pub alpha: Option<f64>,
    /// `γ ≥ 0`: how fast easy entries fade. With 0 and `alpha: None`, the loss is binary cross entropy.
    pub gamma: f64,
}

impl Default for SigmoidFocal {
    /// `α` 0.25, `γ` 2: the paper's choice.
    fn default() -> Self {
        Self { alpha: Some(0.25), gamma: 2.0 }
    }
}

settings!(SigmoidFocal {
    alpha: Optional(impl Into<Option<f64>>), with_alpha;
    gamma: Number(f64), with_gamma
});

impl Elementwise for SigmoidFocal {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let wrong = (-x.clone()).sigmoid().weighted(y) + x.sigmoid().weighted(&y.one_minus());
        let focal = cross_entropy(x, y).damped(&wrong.powf(self.gamma));
        match self.alpha {
            Some(alpha) => focal.share(&y.scale(2.0 * alpha - 1.0).shift(1.0 - alpha)),
            None => focal,
        }
    }

    fn validate(&self) -> Result<()> {
        check_setting("alpha", self.alpha.unwrap_or(0.0), 0.0..=1.0)?;
        check_setting("gamma", self.gamma, 0.0..=f64::MAX)
    }
}
