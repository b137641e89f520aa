//! The losses, one file each, and the catalogue of them.

mod absolute;
mod asymmetric;
mod bce;
mod bce_probabilities;
mod censored;
mod focal;
mod hill;
mod huber;
mod squared;
mod unbiased_bce;

use std::ops::RangeInclusive;

use crate::{Elementwise, Loss};

pub use absolute::AbsoluteError;
pub use asymmetric::Asymmetric;
pub use bce::{BceWithLogits, masked_bce_with_logits};
pub use bce_probabilities::{BceProbabilities, masked_bce};
pub use censored::Censored;
pub use focal::SigmoidFocal;
pub use hill::Hill;
pub use huber::Huber;
pub use squared::SquaredError;
pub use unbiased_bce::UnbiasedBce;

/// A loss of the [`catalogue`], with what it accepts.
pub struct Named {
    /// What command lines and tables call it.
    pub name: &'static str,
    /// The loss, with its default parameters.
    pub loss: Box<dyn Loss>,
    /// See [`Elementwise::inputs`].
    pub inputs: RangeInclusive<f64>,
    /// See [`Elementwise::labels`].
    pub labels: RangeInclusive<f64>,
}

impl Named {
    /// A loss under a name.
    pub fn new<E: Elementwise + 'static>(name: &'static str, loss: E) -> Self {
        Self { name, inputs: loss.inputs(), labels: loss.labels(), loss: Box::new(loss) }
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
