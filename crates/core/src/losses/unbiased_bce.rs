use super::cross_entropy::cross_entropy;
use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting};

/// Binary cross entropy for labels whose negatives include missed positives. Averaged over which positives are missed,
/// it equals the binary cross entropy of the true labels.
///
/// `ℓ(x, y) = −[(y/π)·ln σ(x) + (1 − y/π)·ln σ(−x)]`, with gradient `σ(x) − y/π`. The propensity `π` of a
/// label is the probability that a positive is recorded. For a recorded positive with `π` below 1, the loss has no lower
/// bound as the logit grows.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1), C numbers in `1/π`.
/// * Labels: within [0, 1].
/// * Errors: see `Loss::forward`.
/// * Source: Schultheis et al. 2022, *On Missing Labels, Long-tails and Propensities in Extreme Multi-label
///   Classification*. Its convex upper bound, which stays above 0 (Qaraei et al. 2021, *Convex Surrogates for Unbiased
///   Loss Functions in Extreme Classification With Missing Labels*), is
///   [`BceWithLogits::convex_propensity`](super::BceWithLogits::convex_propensity).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnbiasedBce {
    /// `1/π ≥ 1`, one number for each of the C labels.
    pub inverse_propensity: Vec<f64>,
}

impl UnbiasedBce {
    /// The loss for labels with these inverse propensities, see `Labels::inverse_propensity`.
    pub fn new(inverse_propensity: Vec<f64>) -> Self {
        Self { inverse_propensity }
    }
}

impl Elementwise for UnbiasedBce {
    /// The loss for a propensity of 1.
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        self.entry_with(x, y, &y.constant(1.0))
    }

    #[inline(always)]
    fn entry_with<R: Real>(&self, x: &R, y: &R, inverse_propensity: &R) -> R {
        cross_entropy(x, &y.weighted(inverse_propensity))
    }

    fn validate(&self) -> Result<()> {
        let mut numbers = self.inverse_propensity.iter();
        numbers.try_for_each(|&number| check_setting("inverse_propensity", number, 1.0..=f64::MAX))
    }

    fn parameter(&self) -> Option<(&'static str, &[f64])> {
        Some(("inverse_propensity", &self.inverse_propensity))
    }
}
