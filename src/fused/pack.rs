//! Which entries of a block count, and how they are packed side by side: nothing is computed for the others.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod groups;
mod portable;
mod traffic;

use self::groups::{filled, pack_groups, unpack_groups};
pub(super) use self::traffic::{RING, Traffic};
use super::BLOCK;
use super::cache::{Ask, Buffer};
use super::simd::Simd;

/// Entries that are packed, and put back, at a time.
pub(super) const GROUP: usize = 64;

/// The entries of a block that count: a bit for each, a number for each group.
pub(crate) struct Selection {
    bits: [u64; BLOCK / GROUP],
    length: usize,
    pub(super) count: usize,
}

impl Selection {
    /// Nothing of no entries.
    pub(super) const fn none() -> Self {
        Self { bits: [0; BLOCK / GROUP], length: 0, count: 0 }
    }

    /// Makes it the entries whose cell is 0 or 1 and not −1, and puts those cells side by side.
    pub(super) fn set(&mut self, simd: Simd, cells: &[i8], packed: &mut [i8; BLOCK]) {
        (self.length, self.count) = (cells.len(), 0);
        let (groups, rest) = cells.as_chunks();
        for (groups, first) in [(groups, 0), (&[filled(rest, -1)], groups.len())] {
            // The bits of a rest that is empty have no room in a whole block.
            let bits = &mut self.bits[first..];
            // SAFETY: a level is only chosen where the machine has its features.
            self.count = match simd {
                Simd::Portable => portable::observe(groups, bits, packed, self.count),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2::observe(groups, bits, packed, self.count) },
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2Bmi2 | Simd::Avx512 => unsafe { avx2::observe_by_bits(groups, bits, packed, self.count) },
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512Vbmi2 => unsafe { avx512::observe(groups, bits, packed, self.count) },
            };
        }
    }

    /// The other entries.
    pub(super) fn complement(&self) -> Self {
        let mut bits = self.bits.map(|bits| !bits);
        if let Some(last) = bits.get_mut(self.length / GROUP) {
            *last &= (1 << (self.length % GROUP)) - 1;
        }
        Self { bits, length: self.length, count: self.length - self.count }
    }

    pub(super) fn is_all(&self) -> bool {
        self.count == self.length
    }

    /// How many numbers [`packed`](Self::packed) gives.
    pub(super) fn filled_up(&self) -> usize {
        /// Entries of the longest vectors that the compiler makes, several at a time.
        const VECTORS: usize = 32;
        if self.is_all() { self.count } else { self.count.next_multiple_of(VECTORS) }
    }

    /// The numbers that count side by side, and behind them what fills up the last vectors: 0, or something that was in
    /// `all` or in `room`. None of none.
    pub(super) fn packed<'a, F: Pack>(&self, simd: Simd, all: &'a [F], room: &'a mut Buffer<F>) -> &'a [F] {
        if all.is_empty() || self.is_all() {
            return all;
        }
        let room = room.get();
        let (groups, rest) = all.as_chunks();
        let count = F::pack(simd, &self.bits, groups, room, 0);
        if !rest.is_empty() {
            F::pack(simd, &self.bits[groups.len()..], &[filled(rest, F::default())], room, count);
        }
        &room[..self.filled_up()]
    }

    /// Puts packed numbers back where they belong, and 0 elsewhere.
    pub(super) fn unpack<F: Pack>(&self, simd: Simd, packed: &[F], all: &mut [F]) {
        let (groups, rest) = all.as_chunks_mut();
        let count = F::unpack(simd, &self.bits, packed, groups, 0);
        if !rest.is_empty() {
            let mut last = [F::default(); GROUP];
            F::unpack(simd, &self.bits[groups.len()..], packed, std::slice::from_mut(&mut last), count);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// Numbers that can be packed.
pub(crate) trait Pack: Copy + Default {
    /// The number, or 0, by its bits: a choice between the two would become a branch, which is guessed wrong too often.
    fn or_zero(self, keep: bool) -> Self;

    /// See [`pack_groups`].
    fn pack(_: Simd, bits: &[u64], groups: &[[Self; GROUP]], packed: &mut [Self; BLOCK], count: usize) -> usize {
        pack_groups(bits, groups, packed, count, portable::pack)
    }

    /// See [`unpack_groups`].
    fn unpack(_: Simd, bits: &[u64], packed: &[Self], groups: &mut [[Self; GROUP]], count: usize) -> usize {
        unpack_groups(bits, packed, groups, count, portable::unpack)
    }

    /// See [`Traffic::advance`].
    fn advance(_: Simd, traffic: &mut Traffic<'_, Self, impl Ask>, target: usize, computed: usize) {
        traffic.advance_by(target, computed, portable::pack, portable::unpack);
    }

    /// Whether the gradient can be written past the caches.
    fn streams(_: Simd) -> bool {
        false
    }
}

impl Pack for f64 {
    #[inline(always)]
    fn or_zero(self, keep: bool) -> Self {
        Self::from_bits(self.to_bits() & u64::from(keep).wrapping_neg())
    }
}

impl Pack for f32 {
    #[inline(always)]
    fn or_zero(self, keep: bool) -> Self {
        Self::from_bits(self.to_bits() & u32::from(keep).wrapping_neg())
    }

    #[cfg(target_arch = "x86_64")]
    fn pack(simd: Simd, bits: &[u64], groups: &[[Self; GROUP]], packed: &mut [Self; BLOCK], count: usize) -> usize {
        // SAFETY: such a level is only chosen where the machine has its features.
        match simd {
            Simd::Portable => pack_groups(bits, groups, packed, count, portable::pack),
            Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { avx2::pack(bits, groups, packed, count) },
            Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { avx512::pack(bits, groups, packed, count) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn unpack(simd: Simd, bits: &[u64], packed: &[Self], groups: &mut [[Self; GROUP]], count: usize) -> usize {
        // SAFETY: as above.
        match simd {
            Simd::Portable => unpack_groups(bits, packed, groups, count, portable::unpack),
            Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { avx2::unpack(bits, packed, groups, count) },
            Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { avx512::unpack(bits, packed, groups, count) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn advance(simd: Simd, traffic: &mut Traffic<'_, Self, impl Ask>, target: usize, computed: usize) {
        // SAFETY: as above.
        match simd {
            Simd::Portable => traffic.advance_by(target, computed, portable::pack, portable::unpack),
            Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { avx2::advance(traffic, target, computed) },
            Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { avx512::advance(traffic, target, computed) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn streams(simd: Simd) -> bool {
        simd != Simd::Portable
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::fused::CHUNK;
    use crate::fused::cache::fence;

    /// Which entries of a block count: runs of all lengths, none, few, half, most or all of each.
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
        for _ in 0..1000 {
            let counts = draw(&mut rng);
            let others: Vec<bool> = counts.iter().map(|counts| !counts).collect();
            let cells: Vec<i8> =
                counts.iter().map(|&counts| if counts { rng.random_range(0..2) } else { -1 }).collect();
            let kept: Vec<i8> = cells.iter().copied().filter(|&cell| cell >= 0).collect();
            for simd in Simd::available() {
                let (mut selection, mut packed) = (Selection::none(), [-1; BLOCK]);
                // As a block before may leave it.
                selection.bits.fill(rng.random());
                selection.set(simd, &cells, &mut packed);
                assert_eq!((selection.count, &packed[..kept.len()]), (kept.len(), &kept[..]), "{simd:?}");
                goes_round(simd, &selection, &counts, |i| i as f32 + 1.0);
                goes_round(simd, &selection, &counts, |i| i as f64 + 1.0);
                goes_round(simd, &selection.complement(), &others, |i| i as f32 + 1.0);
            }
        }
    }

    fn goes_round<F: Pack + PartialEq + std::fmt::Debug>(
        simd: Simd,
        selection: &Selection,
        counts: &[bool],
        number: impl Fn(usize) -> F,
    ) {
        let length = counts.len();
        let all: Vec<F> = (0..length).map(&number).collect();
        let kept: Vec<F> = (0..length).filter(|&i| counts[i]).map(&number).collect();
        let expected: Vec<F> = (0..length).map(|i| if counts[i] { number(i) } else { F::default() }).collect();
        let bits = selection.bits[..length.div_ceil(GROUP)].iter();
        assert_eq!((selection.count, bits.map(|bits| bits.count_ones()).sum()), (kept.len(), kept.len() as u32));
        assert_eq!(selection.is_all(), kept.len() == length);
        let (mut room, mut buffer) = (Buffer::new(), Buffer::<F>::new());
        let packed = selection.packed(simd, &all, &mut room);
        assert_eq!((packed.len(), &packed[..kept.len()]), (selection.filled_up(), &kept[..]), "{simd:?}");
        let found = &mut buffer.get()[..length];
        selection.unpack(simd, room.get(), found);
        assert!(selection.is_all() || *found == expected, "{simd:?}");

        // As the slopes: each number's own, in chunks; where vectors may go past the caches, where they may not, and where
        // no slopes are wanted.
        for (past_caches, start, wanted) in [(false, 0, length), (true, 0, length), (true, 1, length), (false, 0, 0)] {
            let [mut input, mut slopes] = [const { Buffer::new() }; 2];
            let found = &mut buffer.get()[start.min(BLOCK - length)..][..wanted];
            found.fill_with(|| number(BLOCK));
            let ahead = &mut ();
            let mut traffic = Traffic::new(selection, &all, input.get(), slopes.get(), found, past_caches, ahead);
            for start in (0..selection.filled_up()).step_by(CHUNK) {
                traffic.advance(simd, start + CHUNK + GROUP, start);
                let (input, slopes) = traffic.numbers(start..selection.filled_up().min(start + CHUNK));
                let real = &kept[start..kept.len().min(start + CHUNK)];
                assert_eq!(input[..real.len()], *real, "{simd:?}");
                slopes.copy_from_slice(input);
            }
            traffic.finish(simd);
            fence();
            assert_eq!(found, &expected[..wanted], "{simd:?}");
        }
    }
}
