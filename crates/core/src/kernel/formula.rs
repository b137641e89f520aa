//! A loss's formula without its type, so that a pass is compiled once for all losses.

use std::ops::RangeInclusive;

use super::chunk::{Chunk, compute};
use super::trace::Uses;
use crate::simd::Simd;
use crate::{Elementwise, Result};

/// What [`Elementwise`] offers, as a trait object.
pub trait Formula: Kernel {
    /// See [`Elementwise::validate`].
    ///
    /// # Errors
    /// As there.
    fn validate(&self) -> Result<()>;
    /// See [`Elementwise::input_range`].
    fn input_range(&self) -> RangeInclusive<f64>;
    /// See [`Elementwise::label_range`].
    fn label_range(&self) -> RangeInclusive<f64>;
    /// See [`Elementwise::parameter`].
    fn parameter(&self) -> Option<(&'static str, &[f64])>;
}

/// The formula's loops, called once for each chunk.
pub trait Kernel: Send + Sync {
    fn uses(&self) -> Uses;
    fn run_f32(&self, simd: Simd, chunk: Chunk<'_, f32>);
    fn run_f64(&self, simd: Simd, chunk: Chunk<'_, f64>);
}

impl<E: Elementwise> Formula for E {
    fn validate(&self) -> Result<()> {
        Elementwise::validate(self)
    }
    fn input_range(&self) -> RangeInclusive<f64> {
        Elementwise::input_range(self)
    }
    fn label_range(&self) -> RangeInclusive<f64> {
        Elementwise::label_range(self)
    }
    fn parameter(&self) -> Option<(&'static str, &[f64])> {
        Elementwise::parameter(self)
    }
}

impl<E: Elementwise> Kernel for E {
    fn uses(&self) -> Uses {
        Uses::of(self)
    }
    fn run_f32(&self, simd: Simd, chunk: Chunk<'_, f32>) {
        compute(self, simd, chunk);
    }
    fn run_f64(&self, simd: Simd, chunk: Chunk<'_, f64>) {
        compute(self, simd, chunk);
    }
}

/// Which entries of a loss count, and by which formula: the observed ones, and the missing ones where something is assumed of
/// them.
#[derive(Debug)]
pub struct Entries<'a, F: ?Sized> {
    /// The loss of observed entries.
    pub observed: &'a F,
    /// The loss of missing entries, if they count.
    pub missing: Option<Assumed<'a, F>>,
    /// Of which labels the entries are, from a number up to another, where not of all that the formulas' parameters are for.
    pub part: Option<[usize; 2]>,
}

impl<'a> Entries<'a, dyn Formula + 'a> {
    /// The observed entries alone, of all labels.
    pub fn observed(formula: &'a (dyn Formula + 'a)) -> Self {
        Self { observed: formula, missing: None, part: None }
    }
}

impl<F: Formula + ?Sized> Entries<'_, F> {
    /// The parameter of one of the formulas, a number for each label that the entries are of.
    pub fn parameter<'f>(&self, formula: &'f F) -> Option<&'f [f64]> {
        let (_, numbers) = formula.parameter()?;
        Some(self.part.map_or(numbers, |[start, end]| &numbers[start..end]))
    }
}

/// A missing entry's loss: `weight` times that of `label`.
#[derive(Debug)]
pub struct Assumed<'a, F: ?Sized> {
    /// The formula.
    pub formula: &'a F,
    /// What stands in for the label.
    pub label: f64,
    /// What the loss is multiplied by.
    pub weight: f64,
}

impl<F: ?Sized> Clone for Entries<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: ?Sized> Copy for Entries<'_, F> {}

impl<F: ?Sized> Clone for Assumed<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: ?Sized> Copy for Assumed<'_, F> {}
