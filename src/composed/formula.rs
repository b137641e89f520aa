//! A loss's formula as a trait object, so that both backends are compiled once for all losses.

use masked_loss_core::{Assumed, Elementwise, Entries, Formula};

use super::tensor::Composed;

/// A formula for the fused backend that can also be evaluated with tensors.
pub(crate) trait TensorFormula: Formula {
    fn compose(&self, x: &Composed, y: &Composed, parameter: Option<&Composed>) -> Composed;
}

impl<E: Elementwise> TensorFormula for E {
    fn compose(&self, x: &Composed, y: &Composed, parameter: Option<&Composed>) -> Composed {
        match parameter {
            Some(parameter) => self.entry_with(x, y, parameter),
            None => self.entry(x, y),
        }
    }
}

/// The same entries for the fused backend.
pub(crate) fn without_tensors<'a>(
    Entries { observed, missing, part }: Entries<'a, dyn TensorFormula + 'a>,
) -> Entries<'a, dyn Formula + 'a> {
    let missing = missing.map(|Assumed { formula, label, weight }| Assumed { formula: formula as _, label, weight });
    Entries { observed, missing, part }
}
