//! Packs a block's input and unpacks its gradient, interleaved.

use std::mem::take;
use std::ops::Range;

use super::selection::Selection;
use crate::memory::Prefetch;
use crate::scalar::Scalar;
use crate::simd::groups::{GroupLoop, filled, group_at};
use crate::simd::{Simd, portable};
use crate::sizes::{GROUP, RING};

/// Packs a block's input and unpacks its gradient. For each group that it packs, it prefetches a later one and unpacks
/// an earlier one, so that none of the three waits for the others.
pub(crate) struct Pipeline<'a, F, P> {
    which: &'a Selection,
    input: &'a [[F; GROUP]],
    /// The last entries, less than a group; they are packed after the whole groups.
    input_rest: &'a [F],
    /// The packed numbers from position `moved` on.
    packed: &'a mut [F; RING],
    /// The slopes at the same positions.
    slopes: &'a mut [F; RING],
    moved: usize,
    gradient: &'a mut [[F; GROUP]],
    gradient_rest: &'a mut [F],
    non_temporal: bool,
    prefetch: &'a mut P,
    packing: Progress,
    unpacking: Progress,
}

/// The groups that are done, and how many of their entries count.
#[derive(Clone, Copy, Default)]
struct Progress {
    groups: usize,
    count: usize,
}

impl<'a, F: Scalar, P: Prefetch> Pipeline<'a, F, P> {
    /// `gradient`: where the slopes go, and 0 for entries that do not count; empty if they are not wanted.
    /// `non_temporal`: write it with stores that other threads see only after a [`fence`](crate::memory::fence).
    pub(crate) fn new(
        which: &'a Selection,
        input: &'a [F],
        packed: &'a mut [F; RING],
        slopes: &'a mut [F; RING],
        gradient: &'a mut [F],
        non_temporal: bool,
        prefetch: &'a mut P,
    ) -> Self {
        let (input, rest) = input.as_chunks();
        // The vectors of non-temporal stores fill a cache line, or half of one.
        let non_temporal = non_temporal && gradient.as_ptr().addr().is_multiple_of(64);
        let (gradient, gradient_rest) = gradient.as_chunks_mut();
        let (packing, unpacking) = Default::default();
        Self {
            which,
            input,
            input_rest: rest,
            packed,
            slopes,
            moved: 0,
            gradient,
            gradient_rest,
            non_temporal,
            prefetch,
            packing,
            unpacking,
        }
    }

    /// Packs groups until `target` numbers are packed, or all are. Unpacks a group with each, if all its numbers are
    /// among the first `computed`.
    pub(crate) fn advance(&mut self, simd: Simd, target: usize, computed: usize) {
        // Packing may exceed the target by a group, and writes into a whole group of the ring.
        if target + 2 * GROUP > self.moved + RING {
            self.drop_unpacked(simd, computed);
        }
        F::run(simd, Advance { pipeline: self, target, computed });
        if self.packing.groups == self.input.len() && !self.input_rest.is_empty() {
            let (bits, rest) = (self.which.bits[self.packing.groups], take(&mut self.input_rest));
            portable::pack(bits, &filled(rest, F::default()), group_at(self.packed, self.packing.count - self.moved));
            self.packing.count += bits.count_ones() as usize;
        }
    }

    /// Makes room in the ring for more numbers.
    fn drop_unpacked(&mut self, simd: Simd, computed: usize) {
        let wanted = !self.gradient.is_empty() || !self.gradient_rest.is_empty();
        if wanted && self.unpacking.count + RING / 2 < computed {
            // The packing went through many groups with few numbers each.
            F::run(simd, Advance { pipeline: self, target: 0, computed });
        }
        let from = if wanted { self.unpacking.count } else { computed } / GROUP * GROUP;
        for numbers in [&mut *self.packed, self.slopes] {
            numbers.copy_within(from - self.moved..self.packing.count - self.moved, 0);
        }
        self.moved = from;
    }

    /// Packed numbers, and the memory for their slopes.
    pub(crate) fn numbers(&mut self, Range { start, end }: Range<usize>) -> (&[F], &mut [F]) {
        let range = start - self.moved..end - self.moved;
        (&self.packed[range.clone()], &mut self.slopes[range])
    }

    /// Unpacks the remaining groups.
    pub(crate) fn finish(mut self, simd: Simd) {
        F::run(simd, Advance { pipeline: &mut self, target: 0, computed: usize::MAX });
        if !self.gradient_rest.is_empty() {
            let (bits, mut group) = (self.which.bits[self.unpacking.groups], [F::default(); GROUP]);
            portable::unpack(bits, group_at(self.slopes, self.unpacking.count - self.moved), &mut group);
            self.gradient_rest.copy_from_slice(&group[..self.gradient_rest.len()]);
        }
    }
}

/// [`Pipeline::advance`] over whole groups. A target of 0 packs nothing, and unpacks all groups that are computed.
struct Advance<'p, 'a, F, P> {
    pipeline: &'p mut Pipeline<'a, F, P>,
    target: usize,
    computed: usize,
}

impl<F: Scalar, P: Prefetch> GroupLoop<F> for Advance<'_, '_, F, P> {
    type Output = ();

    fn non_temporal(&self) -> bool {
        self.pipeline.non_temporal
    }

    #[inline(always)]
    fn run(self, pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]), unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP])) {
        let Self { pipeline, target, computed } = self;
        let (bits, moved) = (&pipeline.which.bits, pipeline.moved);
        let (mut packing, mut unpacking) = (pipeline.packing, pipeline.unpacking);
        let mut unpack_next = |unpacking: &mut Progress| {
            let Some((group, &bits)) = pipeline.gradient.get_mut(unpacking.groups).zip(bits.get(unpacking.groups))
            else {
                return false;
            };
            let count = unpacking.count + bits.count_ones() as usize;
            let ready = count <= computed;
            if ready {
                unpack(bits, group_at(pipeline.slopes, unpacking.count - moved), group);
                *unpacking = Progress { groups: unpacking.groups + 1, count };
            }
            ready
        };
        for (group, &bits) in pipeline.input.iter().zip(bits).skip(packing.groups) {
            if packing.count >= target {
                break;
            }
            pack(bits, group, group_at(pipeline.packed, packing.count - moved));
            packing = Progress { groups: packing.groups + 1, count: packing.count + bits.count_ones() as usize };
            pipeline.prefetch.prefetch();
            unpack_next(&mut unpacking);
        }
        if target == 0 {
            while unpack_next(&mut unpacking) {}
        }
        (pipeline.packing, pipeline.unpacking) = (packing, unpacking);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::memory::{Buffer, fence};
    use crate::scalar::Scalar;
    use crate::simd::Simd;
    use crate::sizes::{BLOCK, CHUNK};

    /// Draws which entries of a block count: runs of any length, of which none, few, half, most or all count.
    fn draw(rng: &mut SmallRng) -> Vec<bool> {
        let length = match rng.random_range(0..4) {
            0 => BLOCK,
            1 => GROUP * rng.random_range(0..=BLOCK / GROUP),
            2 => rng.random_range(0..200),
            _ => rng.random_range(0..=BLOCK),
        };
        let mut counts = Vec::new();
        while counts.len() < length {
            let longest = [GROUP, 2000, 9000][rng.random_range(0..3)];
            let run = rng.random_range(1..=longest);
            let share = [0.0, 0.005, 0.02, 0.5, 0.99, 1.0][rng.random_range(0..6)];
            counts.extend((0..run.min(length - counts.len())).map(|_| rng.random_bool(share)));
        }
        counts
    }

    #[test]
    fn what_counts_is_packed_in_order_and_put_back() {
        let mut rng = SmallRng::seed_from_u64(3);
        for _ in 0..if cfg!(miri) { 5 } else { 1000 } {
            let counts = draw(&mut rng);
            let others: Vec<bool> = counts.iter().map(|counts| !counts).collect();
            let cells: Vec<i8> =
                counts.iter().map(|&counts| if counts { rng.random_range(0..2) } else { -1 }).collect();
            let kept: Vec<i8> = cells.iter().copied().filter(|&cell| cell >= 0).collect();
            for simd in Simd::available() {
                let (mut selection, mut packed) = (Selection::none(), [-1; BLOCK]);
                // As a previous block may leave it.
                selection.bits.fill(rng.random());
                selection.set(simd, &cells, &mut packed);
                assert_eq!((selection.count, &packed[..kept.len()]), (kept.len(), &kept[..]), "{simd:?}");
                goes_round(simd, &selection, &counts, |i| i as f32 + 1.0);
                goes_round(simd, &selection, &counts, |i| i as f64 + 1.0);
                goes_round(simd, &selection.complement(), &others, |i| i as f32 + 1.0);
            }
        }
    }

    fn goes_round<F: Scalar>(simd: Simd, selection: &Selection, counts: &[bool], number: impl Fn(usize) -> F) {
        let length = counts.len();
        let all: Vec<F> = (0..length).map(&number).collect();
        let kept: Vec<F> = (0..length).filter(|&i| counts[i]).map(&number).collect();
        let expected: Vec<F> = (0..length).map(|i| if counts[i] { number(i) } else { F::default() }).collect();
        let bits = selection.bits[..length.div_ceil(GROUP)].iter();
        assert_eq!((selection.count, bits.map(|bits| bits.count_ones()).sum()), (kept.len(), kept.len() as u32));
        assert_eq!(selection.is_all(), kept.len() == length);
        let (mut packed_buffer, mut buffer) = (Buffer::new(), Buffer::<F>::new());
        let packed = selection.packed(simd, &all, &mut packed_buffer);
        assert_eq!((packed.len(), &packed[..kept.len()]), (selection.padded_count(), &kept[..]), "{simd:?}");
        let found = &mut buffer.get()[..length];
        selection.unpack(simd, packed_buffer.get(), found);
        assert!(selection.is_all() || *found == expected, "{simd:?}");

        // In chunks, with each number as its own slope: with and without non-temporal stores, and without slopes.
        for (non_temporal, start, wanted) in [(false, 0, length), (true, 0, length), (true, 1, length), (false, 0, 0)] {
            let [mut input, mut slopes] = [const { Buffer::new() }; 2];
            let found = &mut buffer.get()[start.min(BLOCK - length)..][..wanted];
            found.fill_with(|| number(BLOCK));
            let prefetch = &mut ();
            let mut pipeline = Pipeline::new(selection, &all, input.get(), slopes.get(), found, non_temporal, prefetch);
            for start in (0..selection.padded_count()).step_by(CHUNK) {
                pipeline.advance(simd, start + CHUNK + GROUP, start);
                let (input, slopes) = pipeline.numbers(start..selection.padded_count().min(start + CHUNK));
                let real = &kept[start..kept.len().min(start + CHUNK)];
                assert_eq!(input[..real.len()], *real, "{simd:?}");
                slopes.copy_from_slice(input);
            }
            pipeline.finish(simd);
            fence();
            assert_eq!(found, &expected[..wanted], "{simd:?}");
        }
    }
}
