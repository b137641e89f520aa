//! One block of entries: those that count are packed, computed, and unpacked.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CHUNK;
use super::cache::{Ask, Buffer};
use super::float::Float;
use super::kernel::{Block, Number};
use super::loops::{AddUp, AnyOutside, Each, Sums, Weigh, total};
use super::pack::{GROUP, Pack, RING, Selection, Traffic};
use super::simd::Simd;
use super::targets::Label;
use super::weights::Columns;
use crate::check;
use crate::formula::Formula;

/// A formula's numbers, one for each label, if it has any.
pub(super) struct Parameters<F>(Option<Columns<F>>);

impl<F: Float> Parameters<F> {
    pub(super) fn of(formula: &dyn Formula) -> Self {
        Self(formula.parameter().map(|numbers| Columns::new(numbers.iter().copied())))
    }

    pub(super) fn part<'a>(&'a self, formula: &'a dyn Formula) -> Part<'a, F> {
        let accepted = formula.inputs();
        Part {
            formula,
            takes_tails: formula.takes_tails(),
            parameter: self.0.as_ref(),
            accepted: (accepted != check::REAL).then(|| [*accepted.start(), *accepted.end()].map(F::from_f64)),
        }
    }
}

/// A formula and what goes with it.
pub(super) struct Part<'a, F> {
    formula: &'a dyn Formula,
    takes_tails: bool,
    parameter: Option<&'a Columns<F>>,
    /// The least and the largest input that the formula takes; any will do if `None`.
    accepted: Option<[F; 2]>,
}

/// A block, and which of its entries count.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, F> {
    pub(super) start: usize,
    pub(super) which: &'a Selection,
    pub(super) input: &'a [F],
    pub(super) label: Label<'a, F>,
    /// What each entry's loss and derivative are multiplied by; empty for 1.
    pub(super) weights: &'a [F],
    /// What derivatives are multiplied by besides.
    pub(super) scale: F,
    /// Set where an input is not one that the formula accepts.
    pub(super) outside: &'a AtomicBool,
}

/// Where each entry's derivative and loss go, 0 for one that does not count; empty if they are not wanted.
pub(super) struct Wanted<'a, F> {
    pub(super) gradient: &'a mut [F],
    pub(super) values: &'a mut [F],
    /// Whether the gradient may be written past the caches.
    pub(super) past_caches: bool,
}

/// Room for the entries that count.
pub(super) struct Packed<F> {
    input: Buffer<F, RING>,
    slopes: Buffer<F, RING>,
    /// Before they are packed.
    parameters: Buffer<F>,
    parameter: Buffer<F>,
    weights: Buffer<F>,
    values: Buffer<F>,
    chunk: Chunk<F>,
}

/// What is needed for one chunk.
#[repr(align(64))]
struct Chunk<F> {
    label: [F; CHUNK],
    value: [F; CHUNK],
}

impl<F: Float> Packed<F> {
    pub(super) fn new() -> Self {
        let [input, slopes] = [const { Buffer::new() }; 2];
        let [parameters, parameter, weights, values] = [const { Buffer::new() }; 4];
        let room = [F::default(); CHUNK];
        let chunk = Chunk { label: room, value: room };
        Self { input, slopes, parameters, parameter, weights, values, chunk }
    }
}

impl<F: Number + Pack> Part<'_, F> {
    /// The sum over the entries that count. What comes next is asked for on the way.
    pub(super) fn compute(
        &self,
        simd: Simd,
        source: &Source<'_, F>,
        wanted: Wanted<'_, F>,
        room: &mut Packed<F>,
        ahead: &mut impl Ask,
    ) -> f64 {
        let Source { which, label, .. } = *source;
        let Wanted { gradient, values, past_caches } = wanted;
        let Packed { input, slopes, parameters, parameter, weights, values: losses, chunk } = room;
        let all = Columns::read(self.parameter, source.start, source.input.len(), parameters);
        let parameter = which.packed(simd, all, parameter);
        let weights = which.packed(simd, source.weights, weights);
        if let Label::Same(label) = label {
            chunk.label.fill(label);
        }
        let (count, scale, sums) = (which.count, source.scale, Sums::default());
        let outside = source.outside;
        let mut chunks =
            Chunks { part: self, simd, count, label, parameter, weights, scale, outside, room: chunk, sums };
        let n = which.filled_up();
        let (derive, keep) = (!gradient.is_empty(), !values.is_empty());
        if which.is_all() {
            // All are in their places at once.
            for start in (0..n).step_by(CHUNK) {
                let now = start..n.min(start + CHUNK);
                let value = if keep { Some(&mut values[now.clone()]) } else { None };
                let slope = if derive { &mut gradient[now.clone()] } else { &mut [] };
                chunks.compute(now.clone(), &source.input[now], value, slope);
                (0..CHUNK / GROUP).for_each(|_| ahead.ask());
            }
            return total(chunks.sums);
        }
        let losses = if keep { losses.get().as_mut_slice() } else { &mut [] };
        let mut traffic = Traffic::new(which, source.input, input.get(), slopes.get(), gradient, past_caches, ahead);
        for start in (0..n).step_by(CHUNK) {
            let now = start..n.min(start + CHUNK);
            // A group more than are computed: what was packed just now is on its way to the cache, and takes longer to read.
            traffic.advance(simd, start + CHUNK + GROUP, start);
            let (input, slope) = traffic.numbers(now.clone());
            let value = if keep { Some(&mut losses[now.clone()]) } else { None };
            chunks.compute(now, input, value, if derive { slope } else { &mut [] });
        }
        traffic.finish(simd);
        if keep {
            which.unpack(simd, losses, values);
        }
        total(chunks.sums)
    }
}

/// What the chunks of a block's entries that count, side by side, have in common.
struct Chunks<'a, F> {
    part: &'a Part<'a, F>,
    simd: Simd,
    count: usize,
    label: Label<'a, F>,
    /// May be empty, as the weights.
    parameter: &'a [F],
    weights: &'a [F],
    scale: F,
    outside: &'a AtomicBool,
    room: &'a mut Chunk<F>,
    sums: Sums,
}

impl<F: Number> Chunks<'_, F> {
    /// Losses, into `value` if they are to be kept, and derivatives, unless `slope` is empty.
    fn compute(&mut self, now: Range<usize>, input: &[F], value: Option<&mut [F]>, slope: &mut [F]) {
        let (n, simd) = (now.len(), self.simd);
        let Chunk { label, value: room } = &mut *self.room;
        let label = &mut label[..n];
        let label = match self.label {
            Label::Bytes(bytes) => {
                let from = &bytes[now.clone()];
                simd.run(Each { from, to: &mut *label, with: F::from });
                label
            }
            Label::Numbers(labels) => &labels[now.clone()],
            Label::Same(_) => label,
        };
        let value = value.unwrap_or(&mut room[..n]);
        let (parameter, weights) = (of(self.parameter, &now), of(self.weights, &now));
        let block = Block {
            input,
            label,
            parameter,
            value: &mut *value,
            slope: &mut *slope,
            scale: self.scale,
            takes_tails: self.part.takes_tails,
        };
        F::run(self.part.formula, simd, block);
        // What fills up the last vectors does not count.
        let real = n.min(self.count - now.start);
        if let Some([least, largest]) = self.part.accepted
            && simd.run(AnyOutside { numbers: &input[..real], least, largest })
        {
            self.outside.store(true, Ordering::Relaxed);
        }
        simd.run(Weigh { weights, numbers: slope });
        simd.run(Weigh { weights, numbers: &mut *value });
        simd.run(AddUp { values: &value[..real], sums: &mut self.sums });
    }
}

fn of<'a, F>(all: &'a [F], range: &Range<usize>) -> &'a [F] {
    if all.is_empty() { all } else { &all[range.clone()] }
}
