//! One block of entries: pack those that count, compute them, and unpack the results.

use std::sync::atomic::AtomicBool;

use super::chunks::{ChunkBuffers, Chunks, Prepared};
use crate::labels::{Columns, Label};
use crate::memory::{Buffer, Prefetch};
use crate::pack::{Pipeline, Selection};
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::Sums;
use crate::sizes::{CHUNK, GROUP, RING};

/// A block, and which of its entries count.
#[derive(Clone, Copy)]
pub(crate) struct BlockInput<'a, F> {
    pub(crate) start: usize,
    pub(crate) which: &'a Selection,
    pub(crate) input: &'a [F],
    pub(crate) label: Label<'a, F>,
    /// The factor of each entry's loss and derivative; empty for 1.
    pub(crate) weights: &'a [F],
    /// A further factor of the derivatives.
    pub(crate) scale: F,
    /// Set if the formula does not accept an input.
    pub(crate) outside: &'a AtomicBool,
}

/// Buffers for each entry's derivative and loss, 0 for entries that do not count; empty if they are not wanted.
pub(crate) struct BlockOutput<'a, F> {
    pub(crate) gradient: &'a mut [F],
    pub(crate) values: &'a mut [F],
    /// Whether the gradient may be written by non-temporal stores.
    pub(crate) non_temporal: bool,
}

/// Buffers for the entries that count.
pub(crate) struct PackBuffers<F> {
    input: Buffer<F, RING>,
    slopes: Buffer<F, RING>,
    /// The parameters before packing.
    parameters: Buffer<F>,
    parameter: Buffer<F>,
    weights: Buffer<F>,
    values: Buffer<F>,
    chunk: ChunkBuffers<F>,
}

impl<F: Float> PackBuffers<F> {
    pub(crate) fn new() -> Self {
        let [input, slopes] = [const { Buffer::new() }; 2];
        let [parameters, parameter, weights, values] = [const { Buffer::new() }; 4];
        Self { input, slopes, parameters, parameter, weights, values, chunk: ChunkBuffers::new() }
    }
}

impl<F: Scalar> Prepared<'_, F> {
    /// Returns the sum over the entries that count, and prefetches the next ones on the way.
    pub(crate) fn compute(
        &self,
        simd: Simd,
        block: &BlockInput<'_, F>,
        output: BlockOutput<'_, F>,
        buffers: &mut PackBuffers<F>,
        prefetch: &mut impl Prefetch,
    ) -> f64 {
        let BlockInput { which, label, .. } = *block;
        let BlockOutput { gradient, values, non_temporal } = output;
        let PackBuffers { input, slopes, parameters, parameter, weights, values: losses, chunk } = buffers;
        let all = Columns::read(self.parameter.as_ref(), block.start, block.input.len(), parameters);
        let parameter = which.packed(simd, all, parameter);
        let weights = which.packed(simd, block.weights, weights);
        if let Label::Same(label) = label {
            chunk.label.fill(label);
        }
        let (count, scale, sums) = (which.count, block.scale, Sums::default());
        let outside = block.outside;
        let mut chunks =
            Chunks { formula: self, simd, count, label, parameter, weights, scale, outside, buffers: chunk, sums };
        let n = which.padded_count();
        let (derive, keep) = (!gradient.is_empty(), !values.is_empty());
        if which.is_all() {
            // No packing: all entries are in place.
            for start in (0..n).step_by(CHUNK) {
                let now = start..n.min(start + CHUNK);
                let value = if keep { Some(&mut values[now.clone()]) } else { None };
                let slope = if derive { &mut gradient[now.clone()] } else { &mut [] };
                chunks.compute(now.clone(), &block.input[now], value, slope);
                (0..CHUNK / GROUP).for_each(|_| prefetch.prefetch());
            }
            return chunks.total();
        }
        let losses = if keep { losses.get().as_mut_slice() } else { &mut [] };
        let mut pipeline =
            Pipeline::new(which, block.input, input.get(), slopes.get(), gradient, non_temporal, prefetch);
        for start in (0..n).step_by(CHUNK) {
            let now = start..n.min(start + CHUNK);
            // Pack a group more than is computed: the numbers packed last are still on their way to the cache, and slow
            // to read.
            pipeline.advance(simd, start + CHUNK + GROUP, start);
            let (input, slope) = pipeline.numbers(now.clone());
            let value = if keep { Some(&mut losses[now.clone()]) } else { None };
            chunks.compute(now, input, value, if derive { slope } else { &mut [] });
        }
        pipeline.finish(simd);
        if keep {
            which.unpack(simd, losses, values);
        }
        chunks.total()
    }
}
