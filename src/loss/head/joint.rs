use masked_loss_core::Entries;
use tch::Tensor;

use super::linear::Linear;
use crate::Labels;
use crate::composed::TensorFormula;
use crate::plan::Plan;

/// A layer and its loss, to be computed together.
pub(super) struct Joint<'a> {
    pub(super) entries: Entries<'a, dyn TensorFormula + 'a>,
    pub(super) hidden: &'a Tensor,
    pub(super) linear: &'a Linear<'a>,
    /// Sparse where only observed logits are computed.
    pub(super) labels: Labels,
    pub(super) plan: Plan,
}
