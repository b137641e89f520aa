//! The losses, one file each, and the catalogue of them.

mod bce;
mod bce_probabilities;

use std::ops::RangeInclusive;

use crate::{Elementwise, Loss};

pub use bce::{BceWithLogits, masked_bce_with_logits};
pub use bce_probabilities::{BceProbabilities, masked_bce};

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
    vec![Named::new("bce", BceWithLogits::default()), Named::new("bce-probabilities", BceProbabilities)]
}
