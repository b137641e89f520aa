//! A pass, block by block on several threads.

use std::sync::atomic::AtomicBool;

use super::block::{Packed, Part, Source, Wanted};
use super::cache::{Ahead, Buffer, fence};
use super::float::Float;
use super::memory::{Output, Storage, read};
use super::pack::Pack;
use super::rows::Rows;
use super::simd::Simd;
use super::targets::{Buffers, Label, Targets};
use super::weights::Weights;
use super::{BLOCK, native};
use crate::Result;

/// Entries to a block, of so many in all: this, not the number of threads, decides the bits of a sum. A few large blocks
/// could not be shared out evenly, and a thread more would cost more than it brings to fewer entries than a large one has.
fn block_length(entries: usize) -> usize {
    if entries < 8 * BLOCK { BLOCK / 4 } else { BLOCK }
}

/// Fewer entries than these are likely to be in the caches when a pass begins: a prefetch would only be in the way.
const IN_CACHES: usize = 1 << 19;

/// Bytes of a gradient that is likely to be out of the caches before anybody reads it: writing it past them spares the
/// reading of what is to be overwritten.
const PAST_CACHES: usize = 32 << 20;

/// What counts as a missing entry's loss.
pub(super) struct Assumption<'a, F> {
    pub(super) part: Part<'a, F>,
    pub(super) label: F,
    pub(super) weight: F,
}

/// One pass: all that the threads share.
pub(super) struct Task<'a, X: Storage> {
    pub(super) observed: Part<'a, X::Number>,
    pub(super) missing: Option<Assumption<'a, X::Number>>,
    pub(super) input: Rows<'a, X>,
    pub(super) entries: usize,
    pub(super) targets: &'a dyn Targets<X::Number>,
    pub(super) weights: &'a Weights<'a, X::Number>,
    pub(super) scale: X::Number,
    pub(super) simd: Simd,
    /// Whether an input was found that a formula does not accept.
    pub(super) outside: AtomicBool,
}

impl<X: Storage> Task<'_, X> {
    /// The sum of the entries' losses.
    pub(super) fn run(&self, gradient: Option<Output<X::Number>>, values: Option<Output<X::Number>>) -> Result<f64> {
        let block_length = block_length(self.entries);
        let mut sums = vec![0.0; self.entries.div_ceil(block_length)];
        let sum_of = Output::new(&mut sums);
        // What is assumed of missing entries is added to what is there.
        let past_caches = self.missing.is_none()
            && X::Number::streams(self.simd)
            && gradient.as_ref().is_some_and(|gradient| gradient.bytes() >= PAST_CACHES);
        native::parallel(sums.len(), BLOCK / block_length, |blocks| {
            let mut room = Room::new();
            for block in blocks {
                let start = block * block_length;
                let length = block_length.min(self.entries - start);
                // SAFETY: the outputs outlive this call, and each block is visited once.
                unsafe {
                    let gradient = gradient.as_ref().map(|gradient| gradient.part(start, length)).unwrap_or_default();
                    let values = values.as_ref().map(|values| values.part(start, length)).unwrap_or_default();
                    let wanted = Wanted { gradient, values, past_caches };
                    sum_of.part(block, 1)[0] = self.block(start, length, wanted, &mut room);
                }
            }
            if past_caches {
                fence();
            }
        })?;
        // Not `sum`, which makes −0 of no numbers.
        Ok(sums.iter().fold(0.0, |total, sum| total + sum))
    }

    fn block(&self, start: usize, length: usize, wanted: Wanted<'_, X::Number>, room: &mut Room<X::Number>) -> f64 {
        let Room { input, labels, weights, more_values, more_gradient, packed } = room;
        let Wanted { gradient, values, past_caches } = wanted;
        let (observed, label) = self.targets.read(self.simd, start, length, labels);
        // A gradient that is written past the caches needs no prefetch. What holds for this block mostly holds for the next.
        let overwritten = if past_caches && !observed.is_all() { &[] } else { &*gradient };
        let ahead = &mut Ahead::of(self.input.address(start), self.targets.ahead(start + length), overwritten);
        let source = Source {
            start,
            which: observed,
            input: read(self.simd, &self.input, start, length, input),
            label,
            weights: self.weights.read(self.simd, start, length, weights),
            scale: self.scale,
            outside: &self.outside,
        };
        let wanted = Wanted { gradient: &mut *gradient, values: &mut *values, past_caches };
        let sum = if self.entries < IN_CACHES {
            self.observed.compute(self.simd, &source, wanted, packed, &mut ())
        } else {
            self.observed.compute(self.simd, &source, wanted, packed, ahead)
        };
        let Some(Assumption { part, label, weight }) = &self.missing else { return sum };
        // The same over the other entries, while they are in the cache.
        let (which, label, scale) = (&observed.complement(), Label::Same(*label), self.scale * *weight);
        let wanted = Wanted {
            gradient: &mut more_gradient.get()[..gradient.len()],
            values: &mut more_values.get()[..values.len()],
            past_caches: false,
        };
        let source = Source { which, label, scale, ..source };
        let assumed = part.compute(self.simd, &source, wanted, packed, &mut ());
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

/// A thread's own memory for one block.
struct Room<F> {
    input: Buffer<F>,
    labels: Buffers<F>,
    weights: [Buffer<F>; 2],
    more_values: Buffer<F>,
    more_gradient: Buffer<F>,
    packed: Packed<F>,
}

impl<F: Float> Room<F> {
    fn new() -> Self {
        let [input, more_values, more_gradient] = [const { Buffer::new() }; 3];
        let weights = [const { Buffer::new() }; 2];
        Self { input, labels: Buffers::new(), weights, more_values, more_gradient, packed: Packed::new() }
    }
}
