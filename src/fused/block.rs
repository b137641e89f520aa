//! One block of entries: those that count are put side by side, computed, and put back where they belong.

use super::BLOCK;
use super::float::Float;
use super::kernel::{Block, Cell, Each, Number, Weigh};
use super::memory::Ahead;
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
pub(super) struct Source<'a, F, Y> {
    pub(super) start: usize,
    pub(super) which: &'a Selection,
    pub(super) input: &'a [F],
    pub(super) label: Label<'a, F, Y>,
    /// What each entry's loss and derivative are multiplied by; empty for 1.
    pub(super) weights: &'a [F],
    /// What derivatives are multiplied by besides.
    pub(super) scale: F,
    /// Asked for on the way.
    pub(super) ahead: &'a Ahead,
}

#[derive(Clone, Copy)]
pub(super) enum Label<'a, F, Y> {
    Cells(&'a [Y]),
    Same(F),
}

/// Where each entry's derivative and loss go, 0 for one that does not count; empty if they are not wanted.
pub(super) struct Wanted<'a, F> {
    pub(super) gradient: &'a mut [F],
    pub(super) values: &'a mut [F],
}

/// Room for the entries that count.
#[repr(align(64))]
pub(super) struct Packed<F, Y> {
    input: [F; BLOCK],
    cells: [Y; BLOCK],
    labels: [F; BLOCK],
    near: [F; BLOCK],
    far: [F; BLOCK],
    log: [F; BLOCK],
    /// Before they are packed.
    parameters: [F; BLOCK],
    parameter: [F; BLOCK],
    weights: [F; BLOCK],
    value: [F; BLOCK],
    slope: [F; BLOCK],
}

impl<F: Float, Y: Pack> Packed<F, Y> {
    pub(super) fn new() -> Self {
        let room = [F::default(); BLOCK];
        let (input, cells, labels) = (room, [Y::default(); BLOCK], room);
        let (near, far, log, parameters, parameter, weights) = (room, room, room, room, room, room);
        Self { input, cells, labels, near, far, log, parameters, parameter, weights, value: room, slope: room }
    }
}

impl<F: Number + Pack> Part<'_, F> {
    /// The sum over the entries that count.
    pub(super) fn compute<Y: Cell<F>>(
        &self,
        simd: Simd,
        source: &Source<'_, F, Y>,
        wanted: Wanted<'_, F>,
        room: &mut Packed<F, Y>,
    ) -> f64 {
        let Source { which, scale, ahead, .. } = *source;
        let (n, count, derivative) = (which.filled_up(), which.count, !wanted.gradient.is_empty());
        let Packed { near, far, log, value, slope, .. } = room;
        let (near, far, log) = (&mut near[..n], &mut far[..n], &mut log[..n]);
        let input = which.packed(simd, source.input, &mut room.input);
        let label = &mut room.labels[..n];
        match source.label {
            Label::Same(same) => label.fill(same),
            Label::Cells(cells) => {
                let from = which.packed(simd, cells, &mut room.cells);
                simd.run(Each { from, to: &mut *label, with: Y::label });
            }
        }
        let parameter = Stream::read(self.parameter.as_ref(), source.start, &mut room.parameters[..source.input.len()]);
        let parameter = which.packed(simd, parameter, &mut room.parameter);
        ahead.ask(0);
        simd.run(Fill { uses: self.uses, input, near: &mut *near, far: &mut *far, log: &mut *log });

        ahead.ask(1);

        // Where all entries count they are in their places at once.
        let direct = which.is_all();
        let value = if direct && !wanted.values.is_empty() { &mut *wanted.values } else { &mut value[..n] };
        let slope = if direct { &mut *wanted.gradient } else { &mut slope[..if derivative { n } else { 0 }] };
        let (value_of, slope_of) = (&mut *value, &mut *slope);
        let block = Block { input, label, near, far, log, parameter, value: value_of, slope: slope_of, scale };
        F::run(self.formula, simd, block);
        ahead.ask(2);
        let weights = which.packed(simd, source.weights, &mut room.weights);
        let weighed = if derivative { &mut slope[..count] } else { &mut [][..] };
        let weights = &weights[..count.min(weights.len())];
        let sum = simd.run(Weigh { weights, value: &mut value[..count], slope: weighed });
        ahead.ask(3);
        if !direct && derivative {
            which.unpack(simd, &room.slope, wanted.gradient);
        }
        if !direct && !wanted.values.is_empty() {
            which.unpack(simd, &room.value, wanted.values);
        }
        sum
    }
}
