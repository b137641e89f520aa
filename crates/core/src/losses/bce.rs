use super::cross_entropy::{cross_entropy, weighted_cross_entropy};
use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// Binary cross entropy from logits.
///
/// `ℓ(x, y) = −[w·y′·ln σ(x) + (1 − y′)·ln σ(−x)]`, `y′ = y(1 − ε) + (1 − y)ε`, with gradient `σ(x) − y′` at `w = 1`.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1), C numbers in `w`.
/// * Labels: within [0, 1].
/// * Errors: see `Loss::forward`.
/// * Source: PyTorch's `binary_cross_entropy_with_logits`. Results agree with it, also for `pos_weight` and soft labels.
///   Neither value nor gradient cancels where σ(x) is near a hard label.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BceWithLogits {
    /// `w ≥ 0`: the weight of a positive, one number per label; all 1 if `None`.
    pub pos_weight: Option<Vec<f64>>,
    /// `ε`, in [0, 1]: how far labels move towards the other class (optax's α is 2ε). 0 is off.
    pub label_smoothing: f64,
}

impl BceWithLogits {
    /// The loss for data in which some positives go unrecorded: a positive weighs `2/π − 1`, with the inverse propensities
    /// `1/π` that `Labels::inverse_propensity` estimates. A convex upper bound of [`UnbiasedBce`](super::UnbiasedBce).
    ///
    /// Source: Qaraei et al. 2021, *Convex Surrogates for Unbiased Loss Functions in Extreme Classification With Missing
    /// Labels*.
    pub fn convex_propensity(inverse_propensity: &[f64]) -> Self {
        let pos_weight = inverse_propensity.iter().map(|inverse| 2.0 * inverse - 1.0).collect();
        Self { pos_weight: Some(pos_weight), ..Default::default() }
    }

    #[inline(always)]
    fn smoothed<R: Real>(&self, y: &R) -> R {
        y.scale(1.0 - 2.0 * self.label_smoothing).shift(self.label_smoothing)
    }
}

settings!(BceWithLogits {
    pos_weight: PerLabel(impl Into<Option<Vec<f64>>>), with_pos_weight;
    label_smoothing: Number(f64), with_label_smoothing
});

impl Elementwise for BceWithLogits {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        cross_entropy(x, &self.smoothed(y))
    }

    #[inline(always)]
    fn entry_with<R: Real>(&self, x: &R, y: &R, w: &R) -> R {
        let y = self.smoothed(y);
        weighted_cross_entropy(x, &y.weighted(w), &y.one_minus())
    }

    fn validate(&self) -> Result<()> {
        let mut weights = self.pos_weight.iter().flatten();
        weights.try_for_each(|&weight| check_setting("pos_weight", weight, 0.0..=f64::MAX))?;
        check_setting("label_smoothing", self.label_smoothing, 0.0..=1.0)
    }

    fn parameter(&self) -> Option<(&'static str, &[f64])> {
        self.pos_weight.as_deref().map(|numbers| ("pos_weight", numbers))
    }
}
