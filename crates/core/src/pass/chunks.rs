//! Computes packed entries, a chunk at a time: formula, weights, sums.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::{Chunk, Formula, Uses};
use crate::labels::{Columns, Label};
use crate::losses::REAL;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::{AnyOutside, Map, Multiply, Sum, Sums, total};
use crate::sizes::CHUNK;

/// A formula, with properties that are found once for all blocks.
pub(crate) struct Prepared<'a, F> {
    formula: &'a dyn Formula,
    uses: Uses,
    /// A number for each label, if the formula has a parameter.
    pub(crate) parameter: Option<Columns<F>>,
    /// The least and the largest input that the formula accepts; `None` if it accepts any.
    accepted: Option<[F; 2]>,
}

impl<'a, F: Float> Prepared<'a, F> {
    pub(crate) fn new(formula: &'a dyn Formula, parameter: Option<&[f64]>) -> Self {
        let accepted = formula.input_range();
        Self {
            formula,
            uses: formula.uses(),
            parameter: parameter.map(|numbers| Columns::new(numbers.iter().copied())),
            accepted: (accepted != REAL).then(|| [*accepted.start(), *accepted.end()].map(F::from_f64)),
        }
    }
}

/// Memory for one chunk.
#[repr(align(64))]
pub(crate) struct ChunkBuffers<F> {
    pub(crate) label: [F; CHUNK],
    value: [F; CHUNK],
}

impl<F: Float> ChunkBuffers<F> {
    pub(crate) fn new() -> Self {
        let numbers = [F::default(); CHUNK];
        Self { label: numbers, value: numbers }
    }
}

/// The common data of the chunks of packed entries.
pub(crate) struct Chunks<'a, F> {
    pub(crate) formula: &'a Prepared<'a, F>,
    pub(crate) simd: Simd,
    /// The number of entries, without padding.
    pub(crate) count: usize,
    pub(crate) label: Label<'a, F>,
    /// May be empty, like the weights.
    pub(crate) parameter: &'a [F],
    pub(crate) weights: &'a [F],
    /// A further factor of the derivatives.
    pub(crate) scale: F,
    /// Set if the formula does not accept an input.
    pub(crate) outside: &'a AtomicBool,
    pub(crate) buffers: &'a mut ChunkBuffers<F>,
    pub(crate) sums: Sums,
}

impl<F: Scalar> Chunks<'_, F> {
    /// Computes losses, into `value` if they are wanted, and derivatives, unless `slope` is empty.
    pub(crate) fn compute(&mut self, now: Range<usize>, input: &[F], value: Option<&mut [F]>, slope: &mut [F]) {
        let (n, simd) = (now.len(), self.simd);
        let ChunkBuffers { label, value: buffer } = &mut *self.buffers;
        let label = &mut label[..n];
        let label = match self.label {
            Label::Bytes(bytes) => {
                let from = &bytes[now.clone()];
                simd.run(Map { from, to: &mut *label, with: F::from });
                label
            }
            Label::Numbers(labels) => &labels[now.clone()],
            Label::Same(_) => label,
        };
        let value = value.unwrap_or(&mut buffer[..n]);
        let (parameter, weights) = (of(self.parameter, &now), of(self.weights, &now));
        let chunk = Chunk {
            input,
            label,
            parameter,
            value: &mut *value,
            slope: &mut *slope,
            scale: self.scale,
            uses: self.formula.uses,
        };
        F::compute(self.formula.formula, simd, chunk);
        // The padding does not count.
        let real = n.min(self.count - now.start);
        if let Some([least, largest]) = self.formula.accepted
            && simd.run(AnyOutside { numbers: &input[..real], least, largest })
        {
            self.outside.store(true, Ordering::Relaxed);
        }
        simd.run(Multiply { factors: weights, numbers: slope });
        simd.run(Multiply { factors: weights, numbers: &mut *value });
        simd.run(Sum { values: &value[..real], sums: &mut self.sums });
    }

    /// The sum of the losses.
    pub(crate) fn total(&self) -> f64 {
        total(self.sums)
    }
}

fn of<'a, F>(all: &'a [F], range: &Range<usize>) -> &'a [F] {
    if all.is_empty() { all } else { &all[range.clone()] }
}
