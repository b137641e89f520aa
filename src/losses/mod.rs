//! Losses that are more than a formula of one entry, and functions for those who want no more than one loss.

mod censored;
mod expected_positives;
mod masked;
mod nnpu;
mod softmax;

pub use self::censored::Censored;
pub use self::expected_positives::expected_positives;
pub use self::masked::{masked_bce, masked_bce_with_logits};
pub use self::nnpu::NonNegativePu;
pub use self::softmax::SoftmaxCrossEntropy;
