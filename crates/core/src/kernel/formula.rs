//! A loss's formula as a trait object, so that a pass is compiled once for all losses.

use std::ops::RangeInclusive;

use super::chunk::{Chunk, compute};
use super::trace::Uses;
use crate::simd::Simd;
use crate::{Elementwise, Result};

/// The methods of [`Elementwise`], as a trait object.
pub trait Formula: Kernel {
    /// See [`Elementwise::validate`].
    ///
    /// # Errors
    /// Those of [`Elementwise::validate`].
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

/// Which entries count, and by which formula: the observed ones, and also the missing ones where a label is assumed for
/// them.
#[derive(Debug)]
pub struct Entries<'a, F: ?Sized> {
    /// The loss of observed entries.
    pub observed: &'a F,
    /// The loss of missing entries, if they count.
    pub missing: Option<Assumed<'a, F>>,
    /// The range of labels that the entries belong to, if it is only a part of those that the formulas' parameters are
    /// for.
    pub part: Option<[usize; 2]>,
}

impl<'a> Entries<'a, dyn Formula + 'a> {
    /// Only the observed entries, of all labels.
    pub fn observed(formula: &'a (dyn Formula + 'a)) -> Self {
        Self { observed: formula, missing: None, part: None }
    }
}

impl<F: Formula + ?Sized> Entries<'_, F> {
    /// A formula's parameter, one number for each of the entries' labels.
    pub fn parameter<'f>(&self, formula: &'f F) -> Option<&'f [f64]> {
        let (_, numbers) = formula.parameter()?;
        Some(self.part.map_or(numbers, |[start, end]| &numbers[start..end]))
    }
}

/// A missing entry's loss: `weight` times the loss for `label`.
#[derive(Debug)]
pub struct Assumed<'a, F: ?Sized> {
    /// The formula.
    pub formula: &'a F,
    /// The assumed label.
    pub label: f64,
    /// The factor of the loss.
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
