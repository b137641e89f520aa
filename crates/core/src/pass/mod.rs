//! Loss and gradient in one pass over memory.

mod block;
mod chunks;
mod task;

use std::sync::atomic::AtomicBool;

pub(crate) use self::chunks::{ChunkBuffers, Chunks, Prepared};
use self::task::{Assumption, Task};
use crate::kernel::{Entries, Formula};
use crate::labels::{Cells, Numbers, Raw, Table, Targets, Weights, WeightsOf, one_for_each_label, with_source};
use crate::memory::{Disjoint, Rows};
use crate::scalar::Storage;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::{Result, Threads};

/// A pass over all entries of a loss: its inputs, except the labels, and its outputs.
///
/// `X` is `f32`, `f64`, [`F16`](crate::F16) or [`Bf16`](crate::Bf16); half precision is computed in `f32`.
pub struct Pass<'a, X: Storage> {
    /// The formulas, and the entries that they apply to.
    pub entries: Entries<'a, dyn Formula + 'a>,
    /// The logits, or other inputs of the formulas, row by row.
    pub input: &'a [X],
    /// Where the gradient of `loss / divisor` goes, exactly 0 for entries that do not count.
    pub gradient: Option<&'a mut [X::Number]>,
    /// Where each entry's loss goes, 0 for those that do not count; not divided.
    pub values: Option<&'a mut [X::Number]>,
    /// The divisor of the gradient.
    pub divisor: f64,
}

impl<X: Storage> Pass<'_, X> {
    /// Returns the weighted sum of the losses, for labels that have already been checked; `None` if a formula does not
    /// accept an input.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If input, outputs, labels and weights do not fit each other, an index is out of bounds, or a formula's parameter is not
    /// one number for each label.
    pub fn labels(self, threads: &dyn Threads, table: &Table<'_>, weights: &Weights<'_>) -> Result<Option<f64>> {
        assert_eq!(table.entries(weights), self.input.len(), "one label for each input");
        self.check_parameters(table.labels_at_most());
        let weights = WeightsOf::new(weights, table.width, table.index);
        match table.cells {
            Cells::Bytes(cells) => self.run(threads, &table.rows_of(cells), &weights),
            Cells::F32(cells) => self.run(threads, &Numbers(table.rows_of(cells)), &weights),
            Cells::F64(cells) => self.run(threads, &Numbers(table.rows_of(cells)), &weights),
        }
    }

    /// The same for raw labels, without weights. `None` also if the loss does not accept a label, or the mask holds a
    /// value other than 0 and 1. The loss must accept labels of 0 and 1.
    ///
    /// # Errors
    /// As [`labels`](Self::labels).
    ///
    /// # Panics
    /// As [`labels`](Self::labels).
    pub fn raw(self, threads: &dyn Threads, raw: &Raw<'_>) -> Result<Option<f64>> {
        with_source!(raw, &self.entries.observed.label_range(), source => {
            assert_eq!(source.len(), self.input.len(), "one label for each input");
            self.check_parameters(source.len());
            let sum = self.run(threads, &source, &WeightsOf::NONE)?;
            Ok(sum.filter(|_| !source.at_fault()))
        })
    }

    fn check_parameters(&self, width: usize) {
        let Entries { observed, missing, .. } = self.entries;
        for formula in std::iter::once(observed).chain(missing.map(|assumed| assumed.formula)) {
            if let Some(numbers) = self.entries.parameter(formula) {
                one_for_each_label(numbers.len(), width);
            }
        }
    }

    fn run(
        self,
        threads: &dyn Threads,
        targets: &dyn Targets<X::Number>,
        weights: &WeightsOf<'_, X::Number>,
    ) -> Result<Option<f64>> {
        let Self { entries, input, gradient, values, divisor } = self;
        let prepared = |formula| Prepared::new(formula, entries.parameter(formula));
        let task = Task {
            observed: prepared(entries.observed),
            missing: entries.missing.map(|assumed| {
                let [label, weight] = [assumed.label, assumed.weight].map(X::Number::from_f64);
                Assumption { formula: prepared(assumed.formula), label, weight }
            }),
            input: Rows::new(input, 0, None),
            entries: input.len(),
            targets,
            weights,
            scale: X::Number::from_f64(1.0 / divisor),
            simd: Simd::chosen()?,
            outside: AtomicBool::new(false),
        };
        let output = |slice: &mut [X::Number]| {
            assert_eq!(slice.len(), input.len(), "one output for each input");
            Disjoint::new(slice)
        };
        let sum = task.run(threads, gradient.map(output), values.map(output))?;
        Ok((!task.outside.into_inner()).then_some(sum))
    }
}
