//! A loss's formula as the paths call it: one type for all losses, so that the paths are compiled once.

use std::ops::RangeInclusive;

use crate::fused::{self, Block, Simd};
use crate::{Composed, Elementwise, Result};

/// What [`Elementwise`] offers, without its type. The kernels are called once for each block of entries.
pub(crate) trait Formula: Send + Sync {
    fn validate(&self) -> Result<()>;
    fn inputs(&self) -> RangeInclusive<f64>;
    fn labels(&self) -> RangeInclusive<f64>;
    fn parameter(&self) -> Option<&[f64]>;
    fn compose(&self, x: &Composed, y: &Composed, parameter: Option<&Composed>) -> Composed;
    fn takes_tails(&self) -> bool;
    fn run_f32(&self, simd: Simd, block: Block<'_, f32>);
    fn run_f64(&self, simd: Simd, block: Block<'_, f64>);
}

impl<E: Elementwise> Formula for E {
    fn validate(&self) -> Result<()> {
        Elementwise::validate(self)
    }
    fn inputs(&self) -> RangeInclusive<f64> {
        Elementwise::inputs(self)
    }
    fn labels(&self) -> RangeInclusive<f64> {
        Elementwise::labels(self)
    }
    fn parameter(&self) -> Option<&[f64]> {
        Elementwise::parameter(self)
    }
    fn compose(&self, x: &Composed, y: &Composed, parameter: Option<&Composed>) -> Composed {
        match parameter {
            Some(parameter) => self.entry_with(x, y, parameter),
            None => self.entry(x, y),
        }
    }
    fn takes_tails(&self) -> bool {
        fused::takes_tails(self)
    }
    fn run_f32(&self, simd: Simd, block: Block<'_, f32>) {
        fused::entries(self, simd, block);
    }
    fn run_f64(&self, simd: Simd, block: Block<'_, f64>) {
        fused::entries(self, simd, block);
    }
}

/// What the entries of a loss count: the observed ones, and the missing ones where something is assumed of them.
#[derive(Clone, Copy)]
pub(crate) struct Entries<'a> {
    pub(crate) observed: &'a dyn Formula,
    pub(crate) missing: Option<Assumed<'a>>,
}

/// A missing entry's loss: `weight` times that of `label`.
#[derive(Clone, Copy)]
pub(crate) struct Assumed<'a> {
    pub(crate) formula: &'a dyn Formula,
    pub(crate) label: f64,
    pub(crate) weight: f64,
}

impl<'a> Entries<'a> {
    pub(crate) fn formulas(&self) -> impl Iterator<Item = &'a dyn Formula> {
        std::iter::once(self.observed).chain(self.missing.map(|assumed| assumed.formula))
    }
}
