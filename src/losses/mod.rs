//! The losses, one file each, and the catalogue of them.

mod bce;
mod bce_probabilities;

pub use bce::{BceWithLogits, masked_bce_with_logits};
pub use bce_probabilities::{BceProbabilities, masked_bce};
