//! A loss's formula as both backends call it: one type for all losses, so that the backends are compiled once.

use masked_loss_core::{Assumed, Elementwise, Entries, Formula};

use super::tensor::Composed;

/// What the fused backend needs of a formula, and its reading with tensors.
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
