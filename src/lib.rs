#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod check;
mod composed;
mod error;
mod fused;
mod gradcheck;
mod labels;
mod loss;
mod losses;
pub mod metrics;
mod native;
mod plan;
mod reduction;
mod training;

pub use composed::Composed;
pub use error::{Error, Result};
pub use fused::simd_level;
pub use gradcheck::{GradReport, gradcheck};
pub use labels::{Labels, Raw, Weights};
pub use loss::{Loss, Missing, Named, Path, WithMissing, catalogue};
pub use losses::{
    Censored, NonNegativePu, SoftmaxCrossEntropy, expected_positives, masked_bce, masked_bce_with_logits,
};
pub use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Hill, Huber, NegativeEntropy, SigmoidFocal,
    SquaredError, UnbiasedBce,
};
pub use masked_loss_core::{Dual, Elementwise, Real, check_setting};
pub use native::release_buffers;
pub use reduction::Reduction;
pub use training::{Accumulator, ClassSelective, Correction, LargeLoss, RowGuard, SelfPaced};
