#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod check;
mod composed;
mod dual;
mod error;
mod fused;
mod gradcheck;
mod labels;
mod loss;
mod losses;
mod masked;
pub mod metrics;
mod real;
mod reduction;

pub use composed::Composed;
pub use dual::Dual;
pub use error::{Error, Result};
pub use fused::{release_buffers, simd_level};
pub use gradcheck::{GradReport, gradcheck};
pub use labels::{Labels, Weights};
pub use loss::{Elementwise, Loss, Path};
pub use losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Censored, Hill, Huber, Named, SigmoidFocal,
    SquaredError, UnbiasedBce, catalogue, masked_bce, masked_bce_with_logits,
};
pub use real::Real;
pub use reduction::Reduction;
