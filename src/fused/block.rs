//! One block of entries: those that count are put side by side, computed, and put back where they belong.

use super::CHUNK;
use super::cache::{Ahead, Buffer};
use super::float::Float;
use super::kernel::{Block, Number};
use super::loops::{AddUp, Sums, Weigh};
use super::pack::{Pack, Selection};
use super::simd::Simd;
use super::stream::Stream;
use super::tails::{Fill, Uses};
use crate::formula::Formula;

/// A formula's numbers, one for each label, if it has any.
pub(super) struct Parameters<F>(Option<Vec<F>>);

impl<F: Float> Parameters<F> {
    pub(super) fn of(formula: &dyn Formula) -> Self {
        Self(formula.parameter().map(|numbers| numbers.iter().map(|&number| F::from_f64(number)).collect()))
    }

    pub(super) fn part<'a>(&'a self, formula: &'a dyn Formula, derivative: bool) -> Part<'a, F> {
        Part { formula, uses: formula.uses(derivative), parameter: self.0.as_deref().map(Stream::Columns) }
    }
}

/// A formula and what goes with it.
pub(super) struct Part<'a, F> {
    formula: &'a dyn Formula,
    uses: Uses,
    parameter: Option<Stream<'a, F>>,
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
}

#[derive(Clone, Copy)]
pub(super) enum Label<'a, F> {
    /// Of the entries that count, side by side.
    Packed(&'a [F]),
    Same(F),
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
    input: Buffer<F>,
    /// Before they are packed.
    parameters: Buffer<F>,
    parameter: Buffer<F>,
    weights: Buffer<F>,
    values: Buffer<F>,
    gradient: Buffer<F>,
    chunk: Chunk<F>,
}

/// What is computed in between, for so few entries that it stays in the first-level cache.
#[repr(align(64))]
struct Chunk<F> {
    label: [F; CHUNK],
    near: [F; CHUNK],
    far: [F; CHUNK],
    log: [F; CHUNK],
    value: [F; CHUNK],
}

impl<F: Float> Packed<F> {
    pub(super) fn new() -> Self {
        let [input, parameters, parameter, weights, values, gradient] = [const { Buffer::new() }; 6];
        let room = [F::default(); CHUNK];
        let chunk = Chunk { label: room, near: room, far: room, log: room, value: room };
        Self { input, parameters, parameter, weights, values, gradient, chunk }
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
        ahead: &mut Ahead,
    ) -> f64 {
        let Source { which, scale, .. } = *source;
        let Wanted { gradient, values, past_caches } = wanted;
        // Where all entries count they are in their places at once.
        let (direct, n) = (which.is_all(), which.filled_up());
        let passes = if direct { 0 } else { 1 + usize::from(!gradient.is_empty()) };
        ahead.spread_over(3 * n.div_ceil(CHUNK) + passes * Selection::PARTS);
        let input = which.packed(simd, source.input, &mut room.input, || ahead.ask());
        let parameter = Stream::read(self.parameter.as_ref(), source.start, source.input.len(), &mut room.parameters);
        let parameter = which.packed(simd, parameter, &mut room.parameter, || ());
        let weights = which.packed(simd, source.weights, &mut room.weights, || ());
        let losses = if direct || values.is_empty() { &mut *values } else { &mut room.values.get()[..n] };
        let slopes = if direct || gradient.is_empty() { &mut *gradient } else { &mut room.gradient.get()[..n] };

        let Chunk { label: same, near, far, log, value } = &mut room.chunk;
        if let Label::Same(label) = source.label {
            same.fill(label);
        }
        let mut sums = Sums::default();
        for start in (0..n).step_by(CHUNK) {
            let length = CHUNK.min(n - start);
            let part = |all| part(all, start, length);
            let input = part(input);
            let label = match source.label {
                Label::Packed(labels) => part(labels),
                Label::Same(_) => &same[..length],
            };
            let (near, far, log) = (&mut near[..length], &mut far[..length], &mut log[..length]);
            simd.run(Fill { uses: self.uses, input, near: &mut *near, far: &mut *far, log: &mut *log });
            ahead.ask();
            let value = if losses.is_empty() { &mut value[..length] } else { &mut losses[start..][..length] };
            let slope = if slopes.is_empty() { &mut [][..] } else { &mut slopes[start..][..length] };
            let (value_of, slope_of) = (&mut *value, &mut *slope);
            let parameter = part(parameter);
            let block = Block { input, label, near, far, log, parameter, value: value_of, slope: slope_of, scale };
            F::run(self.formula, simd, block);
            ahead.ask();
            let weights = part(weights);
            simd.run(Weigh { weights, numbers: slope });
            simd.run(Weigh { weights, numbers: &mut *value });
            // What fills up the last vectors adds nothing.
            value[length.min(which.count - start)..].fill(F::default());
            simd.run(AddUp { values: value, sums: &mut sums });
            ahead.ask();
        }
        if !direct && !gradient.is_empty() {
            which.unpack(simd, room.gradient.get(), gradient, past_caches, || ahead.ask());
        }
        if !direct && !values.is_empty() {
            which.unpack(simd, room.values.get(), values, false, || ());
        }
        sums.iter().sum()
    }
}

fn part<F>(all: &[F], start: usize, length: usize) -> &[F] {
    if all.is_empty() { all } else { &all[start..][..length] }
}
