use std::ops::RangeInclusive;
use std::sync::Arc;

use masked_loss_core::Elementwise;
use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Hill, Huber, SigmoidFocal, SquaredError,
};

use super::missing::{Missing, WithMissing};
use super::traits::Loss;
use crate::composed::TensorFormula;

/// A loss of the [`catalogue`], with what it accepts.
pub struct Named {
    /// What command lines and tables call it.
    pub name: &'static str,
    /// The loss, with its default parameters.
    pub loss: Box<dyn Loss>,
    formula: Arc<dyn TensorFormula>,
    /// See [`Elementwise::inputs`].
    pub inputs: RangeInclusive<f64>,
    /// See [`Elementwise::labels`].
    pub labels: RangeInclusive<f64>,
}

impl Named {
    /// A loss under a name.
    pub fn new<E: Elementwise + 'static>(name: &'static str, loss: E) -> Self {
        let (inputs, labels, formula) = (loss.inputs(), loss.labels(), Arc::new(loss));
        let loss = Box::new(WithMissing::new(formula.clone(), Missing::Ignore));
        Self { name, loss, formula, inputs, labels }
    }

    /// See [`Loss::with_missing`].
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
