//! A pass over blocks, on several threads.

use std::sync::atomic::AtomicBool;

use super::block::{BlockInput, BlockOutput, PackBuffers};
use super::chunks::Prepared;
use crate::labels::{Label, LabelBuffers, Targets, WeightsOf};
use crate::memory::{Buffer, Disjoint, Prefetcher, Rows, fence, read};
use crate::scalar::{Scalar, Storage};
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::sizes::BLOCK;
use crate::{Result, Threads};

/// The entries of a block, for this many entries in all. The bits of a sum depend on this, and not on the number of
/// threads. A few large blocks could not be divided evenly, and less than a large block is not worth another thread.
fn block_length(entries: usize) -> usize {
    if entries < 8 * BLOCK { BLOCK / 4 } else { BLOCK }
}

/// With fewer entries than these, the inputs are likely to be in the caches already: prefetches would only cost time.
const IN_CACHES: usize = 1 << 19;

/// A gradient of this many bytes is likely to leave the caches before it is read. Non-temporal stores then save reading
/// the memory that they overwrite.
const NON_TEMPORAL: usize = 32 << 20;

/// The loss that stands in for a missing entry's.
pub(crate) struct Assumption<'a, F> {
    pub(crate) formula: Prepared<'a, F>,
    pub(crate) label: F,
    pub(crate) weight: F,
}

/// The data of a pass that all threads share.
pub(crate) struct Task<'a, X: Storage> {
    pub(crate) observed: Prepared<'a, X::Number>,
    pub(crate) missing: Option<Assumption<'a, X::Number>>,
    pub(crate) input: Rows<'a, X>,
    pub(crate) entries: usize,
    pub(crate) targets: &'a dyn Targets<X::Number>,
    pub(crate) weights: &'a WeightsOf<'a, X::Number>,
    pub(crate) scale: X::Number,
    pub(crate) simd: Simd,
    /// Set if a formula does not accept an input.
    pub(crate) outside: AtomicBool,
}

impl<X: Storage> Task<'_, X> {
    /// The sum of the entries' losses.
    pub(crate) fn run(
        &self,
        threads: &dyn Threads,
        gradient: Option<Disjoint<X::Number>>,
        values: Option<Disjoint<X::Number>>,
    ) -> Result<f64> {
        let block_length = block_length(self.entries);
        let mut sums = vec![0.0; self.entries.div_ceil(block_length)];
        let (blocks, sum_of) = (sums.len(), Disjoint::new(&mut sums));
        // Missing entries that count are added to the gradient, which reads it again.
        let non_temporal = self.missing.is_none()
            && X::Number::has_non_temporal_stores(self.simd)
            && gradient.as_ref().is_some_and(|gradient| gradient.bytes() >= NON_TEMPORAL);
        threads.run(blocks, BLOCK / block_length, &|blocks| {
            let _fence = non_temporal.then_some(Fence);
            let mut scratch = Scratch::new();
            for block in blocks {
                let start = block * block_length;
                let length = block_length.min(self.entries - start);
                // SAFETY: the outputs outlive this call, and each block is visited once.
                unsafe {
                    let gradient = gradient.as_ref().map(|gradient| gradient.part(start, length)).unwrap_or_default();
                    let values = values.as_ref().map(|values| values.part(start, length)).unwrap_or_default();
                    let output = BlockOutput { gradient, values, non_temporal };
                    sum_of.part(block, 1)[0] = self.block(start, length, output, &mut scratch);
                }
            }
        })?;
        // Not `sum`: an empty one is −0.
        Ok(sums.iter().fold(0.0, |total, sum| total + sum))
    }

    fn block(
        &self,
        start: usize,
        length: usize,
        output: BlockOutput<'_, X::Number>,
        scratch: &mut Scratch<X::Number>,
    ) -> f64 {
        let Scratch { input, labels, weights, more_values, more_gradient, packed } = scratch;
        let BlockOutput { gradient, values, non_temporal } = output;
        let (observed, label) = self.targets.read(self.simd, start, length, labels);
        // Non-temporal stores of a gradient need no prefetch. Assume that the next block is like this one.
        let overwritten = if non_temporal && !observed.is_all() { &[] } else { &*gradient };
        let prefetch = &mut Prefetcher::new(self.input.address(start), self.targets.lines(start + length), overwritten);
        let block = BlockInput {
            start,
            which: observed,
            input: read(self.simd, &self.input, start, length, input),
            label,
            weights: self.weights.read(self.simd, start, length, weights),
            scale: self.scale,
            outside: &self.outside,
        };
        let output = BlockOutput { gradient: &mut *gradient, values: &mut *values, non_temporal };
        let sum = if self.entries < IN_CACHES {
            self.observed.compute(self.simd, &block, output, packed, &mut ())
        } else {
            self.observed.compute(self.simd, &block, output, packed, prefetch)
        };
        let Some(Assumption { formula, label, weight }) = &self.missing else { return sum };
        // The same for the other entries, while they are in the cache.
        let (which, label, scale) = (&observed.complement(), Label::Same(*label), self.scale * *weight);
        let output = BlockOutput {
            gradient: &mut more_gradient.get()[..gradient.len()],
            values: &mut more_values.get()[..values.len()],
            non_temporal: false,
        };
        let block = BlockInput { which, label, scale, ..block };
        let assumed = formula.compute(self.simd, &block, output, packed, &mut ());
        add_scaled(values, more_values.get(), *weight);
        add_scaled(gradient, more_gradient.get(), X::Number::ONE);
        sum + weight.to_f64() * assumed
    }
}

fn add_scaled<F: Float>(sum: &mut [F], terms: &[F], weight: F) {
    for (sum, &term) in sum.iter_mut().zip(terms) {
        *sum = *sum + term * weight;
    }
}

/// Completes a thread's non-temporal stores, even if a formula panics.
struct Fence;

impl Drop for Fence {
    fn drop(&mut self) {
        fence();
    }
}

/// A thread's buffers for one block.
struct Scratch<F> {
    input: Buffer<F>,
    labels: LabelBuffers<F>,
    weights: [Buffer<F>; 2],
    more_values: Buffer<F>,
    more_gradient: Buffer<F>,
    packed: PackBuffers<F>,
}

impl<F: Float> Scratch<F> {
    fn new() -> Self {
        let [input, more_values, more_gradient] = [const { Buffer::new() }; 3];
        let weights = [const { Buffer::new() }; 2];
        Self { input, labels: LabelBuffers::new(), weights, more_values, more_gradient, packed: PackBuffers::new() }
    }
}
