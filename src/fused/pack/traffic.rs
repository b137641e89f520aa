//! A block on its way in and out: its input is packed and its gradient put back, a little of each at a time.

use std::mem::take;
use std::ops::Range;

use super::super::cache::Ask;
use super::groups::{filled, room};
use super::{GROUP, Pack, Selection, Simd, portable};

/// Room for numbers between being packed and being put back: so few that they stay in the first-level cache.
pub(crate) const RING: usize = 4096;

/// What a block reads and writes. Each group that is packed asks for what comes next and makes way for one that is put back,
/// so that neither waits for the other, nor for memory.
pub(crate) struct Traffic<'a, F, A> {
    which: &'a Selection,
    input: &'a [[F; GROUP]],
    /// The last entries, less than a group; packed when the whole groups are.
    input_rest: &'a [F],
    /// The numbers that count, side by side, from the one after `moved` on.
    packed: &'a mut [F; RING],
    /// Their slopes there.
    slopes: &'a mut [F; RING],
    moved: usize,
    gradient: &'a mut [[F; GROUP]],
    gradient_rest: &'a mut [F],
    past_caches: bool,
    ahead: &'a mut A,
    taken: Progress,
    given: Progress,
}

/// Groups that are done, and how many of their entries count.
#[derive(Clone, Copy, Default)]
struct Progress {
    groups: usize,
    count: usize,
}

impl<'a, F: Pack, A: Ask> Traffic<'a, F, A> {
    /// `gradient`: where the slopes go, and 0 for entries that do not count; empty if they are not wanted. `past_caches`:
    /// straight to memory, which for other threads to see takes a [`fence`](super::super::cache::fence).
    pub(crate) fn new(
        which: &'a Selection,
        input: &'a [F],
        packed: &'a mut [F; RING],
        slopes: &'a mut [F; RING],
        gradient: &'a mut [F],
        past_caches: bool,
        ahead: &'a mut A,
    ) -> Self {
        let (input, rest) = input.as_chunks();
        // Vectors that go past the caches are as long as a cache line, or half of it.
        let past_caches = past_caches && gradient.as_ptr().addr().is_multiple_of(64);
        let (gradient, gradient_rest) = gradient.as_chunks_mut();
        let (taken, given) = Default::default();
        Self {
            which,
            input,
            input_rest: rest,
            packed,
            slopes,
            moved: 0,
            gradient,
            gradient_rest,
            past_caches,
            ahead,
            taken,
            given,
        }
    }

    /// Whether whole groups go straight to memory, for which the gradient is aligned.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(super) fn past_caches(&self) -> bool {
        self.past_caches
    }

    /// Packs groups until `target` numbers are packed, or all are. With each, a group is put back all of whose numbers are
    /// among the first `computed`.
    pub(crate) fn advance(&mut self, simd: Simd, target: usize, computed: usize) {
        // A group more than the target may be packed, in whole groups of room.
        if target + 2 * GROUP > self.moved + RING {
            self.make_room(simd, computed);
        }
        F::advance(simd, self, target, computed);
        if self.taken.groups == self.input.len() && !self.input_rest.is_empty() {
            let (bits, rest) = (self.which.bits[self.taken.groups], take(&mut self.input_rest));
            portable::pack(bits, &filled(rest, F::default()), room(self.packed, self.taken.count - self.moved));
            self.taken.count += bits.count_ones() as usize;
        }
    }

    /// Drops numbers that are put back.
    fn make_room(&mut self, simd: Simd, computed: usize) {
        let wanted = !self.gradient.is_empty() || !self.gradient_rest.is_empty();
        if wanted && self.given.count + RING / 2 < computed {
            // Many groups with few numbers each came before.
            F::advance(simd, self, 0, computed);
        }
        let from = if wanted { self.given.count } else { computed } / GROUP * GROUP;
        for numbers in [&mut *self.packed, self.slopes] {
            numbers.copy_within(from - self.moved..self.taken.count - self.moved, 0);
        }
        self.moved = from;
    }

    /// Numbers that are packed, and the room for their slopes.
    pub(crate) fn numbers(&mut self, Range { start, end }: Range<usize>) -> (&[F], &mut [F]) {
        let range = start - self.moved..end - self.moved;
        (&self.packed[range.clone()], &mut self.slopes[range])
    }

    /// Puts back all that is left.
    pub(crate) fn finish(mut self, simd: Simd) {
        F::advance(simd, &mut self, 0, usize::MAX);
        if !self.gradient_rest.is_empty() {
            let (bits, mut group) = (self.which.bits[self.given.groups], [F::default(); GROUP]);
            portable::unpack(bits, room(self.slopes, self.given.count - self.moved), &mut group);
            self.gradient_rest.copy_from_slice(&group[..self.gradient_rest.len()]);
        }
    }

    /// As [`advance`](Self::advance), of whole groups. With a target of 0 nothing is packed, and all that can be is put back.
    #[inline(always)]
    pub(super) fn advance_by(
        &mut self,
        target: usize,
        computed: usize,
        pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
        unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
    ) {
        let (bits, moved, mut taken, mut given) = (&self.which.bits, self.moved, self.taken, self.given);
        let mut give = |given: &mut Progress| {
            let Some((group, &bits)) = self.gradient.get_mut(given.groups).zip(bits.get(given.groups)) else {
                return false;
            };
            let count = given.count + bits.count_ones() as usize;
            let ready = count <= computed;
            if ready {
                unpack(bits, room(self.slopes, given.count - moved), group);
                *given = Progress { groups: given.groups + 1, count };
            }
            ready
        };
        for (group, &bits) in self.input.iter().zip(bits).skip(taken.groups) {
            if taken.count >= target {
                break;
            }
            pack(bits, group, room(self.packed, taken.count - moved));
            taken = Progress { groups: taken.groups + 1, count: taken.count + bits.count_ones() as usize };
            self.ahead.ask();
            give(&mut given);
        }
        if target == 0 {
            while give(&mut given) {}
        }
        (self.taken, self.given) = (taken, given);
    }
}
