//! The losses, one file each, and the catalogue of them.

mod absolute;
mod asymmetric;
mod bce;
mod bce_probabilities;
mod censored;
mod entropy;
mod expected_positives;
mod focal;
mod focal_negative;
mod hill;
mod huber;
mod nnpu;
mod softmax;
mod squared;
mod unbiased_bce;

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::formula::Formula;
use crate::{Elementwise, Loss, Missing, Real, WithMissing};

pub use absolute::AbsoluteError;
pub use asymmetric::Asymmetric;
pub use bce::{BceWithLogits, masked_bce_with_logits};
pub use bce_probabilities::{BceProbabilities, masked_bce};
pub use censored::Censored;
pub use entropy::NegativeEntropy;
pub use expected_positives::expected_positives;
pub use focal::SigmoidFocal;
pub(crate) use focal_negative::FocalNegative;
pub use hill::Hill;
pub use huber::Huber;
pub use nnpu::NonNegativePu;
pub use softmax::SoftmaxCrossEntropy;
pub use squared::SquaredError;
pub use unbiased_bce::UnbiasedBce;

/// A loss of the [`catalogue`], with what it accepts.
pub struct Named {
    /// What command lines and tables call it.
    pub name: &'static str,
    /// The loss, with its default parameters.
    pub loss: Arc<dyn Loss>,
    formula: Arc<dyn Formula>,
    /// See [`Elementwise::inputs`].
    pub inputs: RangeInclusive<f64>,
    /// See [`Elementwise::labels`].
    pub labels: RangeInclusive<f64>,
}

impl Named {
    /// A loss under a name.
    pub fn new<E: Elementwise + 'static>(name: &'static str, loss: E) -> Self {
        let (inputs, labels, loss) = (loss.inputs(), loss.labels(), Arc::new(loss));
        Self { name, loss: loss.clone(), formula: loss, inputs, labels }
    }

    /// See [`Elementwise::with_missing`].
    pub fn with_missing(&self, missing: Missing) -> WithMissing {
        WithMissing::new(self.formula.clone(), missing)
    }
}

/// Every loss with its default parameters: what tests, programs and benchmarks go through.
pub fn catalogue() -> Vec<Named> {
    vec![
        Named::new("bce", BceWithLogits::default()),
        Named::new("bce-probabilities", BceProbabilities),
        Named::new("focal", SigmoidFocal::default()),
        Named::new("asymmetric", Asymmetric::default()),
        Named::new("hill", Hill::default()),
        Named::new("huber", Huber::default()),
        Named::new("squared", SquaredError),
        Named::new("absolute", AbsoluteError),
    ]
}

/// Whether an exponent is one that [`Elementwise::integer_powers`] speaks of.
fn small_integer(exponent: f64) -> bool {
    (0..8).any(|integer| exponent == f64::from(integer))
}

/// `−y·ln σ(x) − (1 − y)·ln σ(−x)`, as `|x|·u − ln σ(|x|)` with u the share of the class that the sign of x speaks
/// against: two terms of one sign, and one exponential for both classes.
#[inline(always)]
fn cross_entropy<R: Real>(x: &R, y: &R) -> R {
    let (size, against) = (x.size(), x.select_lt(0.0, y, &y.one_minus()));
    size.weighted(&against) - size.log_sigmoid()
}

/// The same with a weight for each class: `−positive·ln σ(x) − negative·ln σ(−x)`.
#[inline(always)]
fn weighted_cross_entropy<R: Real>(x: &R, positive: &R, negative: &R) -> R {
    let (size, against) = (x.size(), x.select_lt(0.0, positive, negative));
    size.weighted(&against) - size.log_sigmoid().weighted(&(positive.clone() + negative))
}
