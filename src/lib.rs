#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod accumulator;
mod check;
mod composed;
mod dual;
mod error;
mod formula;
mod fused;
mod gradcheck;
mod guard;
mod labels;
mod loss;
mod losses;
mod masked;
pub mod metrics;
mod missing;
mod real;
mod reduction;
mod relabel;
mod weighting;

pub use accumulator::Accumulator;
pub use composed::Composed;
pub use dual::Dual;
pub use error::{Error, Result};
pub use fused::{release_buffers, simd_level};
pub use gradcheck::{GradReport, gradcheck};
pub use guard::RowGuard;
pub use labels::{Labels, Raw, Weights};
pub use loss::{Elementwise, Loss, Path};
pub use losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Censored, Hill, Huber, Named, NegativeEntropy,
    NonNegativePu, SigmoidFocal, SoftmaxCrossEntropy, SquaredError, UnbiasedBce, catalogue, expected_positives,
    masked_bce, masked_bce_with_logits,
};
pub use missing::{Missing, WithMissing};
pub use real::Real;
pub use reduction::Reduction;
pub use relabel::{ClassSelective, Correction, LargeLoss, SelfPaced};
