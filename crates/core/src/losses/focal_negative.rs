use super::asymmetric::Asymmetric;
use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// A negative with its own focal weight, whatever the label: the loss of missing entries in partial ASL.
///
/// `ℓ(x) = −σ(x)^γ·ln σ(−x)`, with gradient `σ(x)^γ·σ(x)`, which treats the weight as a constant. As in [`Asymmetric`],
/// the logarithm is floored at `ln 1e−8`.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1).
/// * Labels: within [0, 1], and not used.
/// * Errors: see `Loss::forward`.
/// * Source: Ben-Baruch et al. 2022, *Multi-label Classification with Partial Annotations using Class-aware Selective Loss*.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FocalNegative {
    /// `γ ≥ 0`
    pub gamma: f64,
}

impl Default for FocalNegative {
    /// `γ` 2.
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

settings!(FocalNegative { gamma: Number(f64), with_gamma });

impl Elementwise for FocalNegative {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, _: &R) -> R {
        let weight = x.sigmoid().powf(self.gamma).detach();
        -((-x.clone()).log_sigmoid().at_least(Asymmetric::FLOOR.ln()) * weight)
    }

    fn validate(&self) -> Result<()> {
        check_setting("gamma", self.gamma, 0.0..=f64::MAX)
    }
}
