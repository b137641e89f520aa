use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// Asymmetric loss (ASL): separate focal weights for positives and negatives; easy negatives are dropped.
///
/// `ℓ(x, y) = −y·(1 − p)^γ⁺·ln p − (1 − y)·p_m^γ⁻·ln(1 − p_m)` with `p = σ(x)` and `p_m = max(p − c, 0)`; logarithms
/// are floored at `ln 1e−8`. The gradient of a negative above the margin is
/// `p(1 − p) p_m^γ⁻ [1/(1 − p_m) − γ⁻ ln(1 − p_m)/p_m]`, below it 0.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1).
/// * Labels: within [0, 1].
/// * Errors: see `Loss::forward`.
/// * Source: Ridnik et al. 2021, *Asymmetric Loss for Multi-Label Classification*. Published as a sum, with learning
///   rates to match. The authors' class detaches the focal weights, their "optimized" class does not.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Asymmetric {
    /// `γ⁺ ≥ 0`: the focal exponent of positives.
    pub gamma_positive: f64,
    /// `γ⁻ ≥ 0`: the focal exponent of negatives.
    pub gamma_negative: f64,
    /// `c` in [0, 1]: the margin. A negative with `p` below it has loss 0.
    pub clip: f64,
    /// Whether the gradient treats the focal weights as constants.
    pub detach_weights: bool,
}

impl Default for Asymmetric {
    /// `γ⁺` 1, `γ⁻` 4, `c` 0.05: the paper's choice; weights not detached.
    fn default() -> Self {
        Self { gamma_positive: 1.0, gamma_negative: 4.0, clip: 0.05, detach_weights: false }
    }
}

impl Asymmetric {
    /// The lower bound of the logarithms' arguments.
    pub(super) const FLOOR: f64 = 1e-8;

    /// The loss of observed entries in partial ASL: `γ⁺` 0, `γ⁻` 1, `c` 0, weights detached (Ben-Baruch et al. 2022,
    /// *Multi-label Classification with Partial Annotations using Class-aware Selective Loss*).
    pub fn partial() -> Self {
        Self { gamma_positive: 0.0, gamma_negative: 1.0, clip: 0.0, detach_weights: true }
    }

    #[inline(always)]
    fn focal<R: Real>(&self, wrong: &R, gamma: f64) -> R {
        let weight = wrong.powf(gamma);
        if self.detach_weights { weight.detach() } else { weight }
    }
}

settings!(Asymmetric {
    gamma_positive: Number(f64), with_gamma_positive;
    gamma_negative: Number(f64), with_gamma_negative;
    clip: Number(f64), with_clip;
    detach_weights: Switch(bool), with_detach_weights
});

impl Elementwise for Asymmetric {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let (p, q) = (x.sigmoid(), (-x.clone()).sigmoid());
        let positive = x.log_sigmoid().at_least(Self::FLOOR.ln()) * self.focal(&q, self.gamma_positive);
        let shifted = p.shift(-self.clip).at_least(0.0);
        let log = if self.clip == 0.0 {
            // Equal to the form below, but accurate to the last digits where p is small.
            (-x.clone()).log_sigmoid().at_least(Self::FLOOR.ln())
        } else {
            // Floor before the logarithm: its slope at 0 is infinite.
            shifted.one_minus().at_least(Self::FLOOR).ln()
        };
        let negative = log * self.focal(&shifted, self.gamma_negative);
        -(positive.weighted(y) + negative.weighted(&y.one_minus()))
    }

    fn validate(&self) -> Result<()> {
        check_setting("gamma_positive", self.gamma_positive, 0.0..=f64::MAX)?;
        check_setting("gamma_negative", self.gamma_negative, 0.0..=f64::MAX)?;
        check_setting("clip", self.clip, 0.0..=1.0)
    }
}
