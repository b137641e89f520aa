//! The losses, one file each.

mod absolute;
mod asymmetric;
mod bce;
mod bce_probabilities;
mod cross_entropy;
mod elementwise;
mod entropy;
mod focal;
mod focal_negative;
mod hill;
mod huber;
mod settings;
mod squared;
mod text;
mod unbiased_bce;

pub use self::absolute::AbsoluteError;
pub use self::asymmetric::Asymmetric;
pub use self::bce::BceWithLogits;
pub use self::bce_probabilities::BceProbabilities;
pub use self::elementwise::{Elementwise, REAL};
pub use self::entropy::NegativeEntropy;
pub use self::focal::SigmoidFocal;
pub use self::focal_negative::FocalNegative;
pub use self::hill::Hill;
pub use self::huber::Huber;
pub use self::settings::{Setting, Settings};
pub use self::squared::SquaredError;
pub use self::text::Described;
pub use self::unbiased_bce::UnbiasedBce;
