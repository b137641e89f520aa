use masked_loss_core::losses::{BceProbabilities, BceWithLogits};
use tch::Tensor;

use crate::{Loss, Raw, Reduction, Result};

/// Binary cross entropy from logits, averaged over the entries where `mask` is 1: [`BceWithLogits`] in a single call.
///
/// # Errors
/// As [`Labels::from_mask`](crate::Labels::from_mask) and `Loss::forward`.
pub fn masked_bce_with_logits(logits: &Tensor, labels: &Tensor, mask: &Tensor) -> Result<Tensor> {
    BceWithLogits::default().forward_raw(logits, Raw::Mask { labels, mask }, Reduction::Mean)
}

/// Binary cross entropy from probabilities, averaged over the entries where `mask` is 1: the original technique's
/// function.
///
/// # Errors
/// As [`Labels::from_mask`](crate::Labels::from_mask) and `Loss::forward`.
pub fn masked_bce(probabilities: &Tensor, labels: &Tensor, mask: &Tensor) -> Result<Tensor> {
    BceProbabilities.forward_raw(probabilities, Raw::Mask { labels, mask }, Reduction::Mean)
}
