//! Which entries of a block count, and how they are packed side by side: nothing is computed for the others.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::BLOCK;
use super::cache::Buffer;
use super::simd::Simd;

/// A bit for each entry of a block, set where it counts.
#[derive(Clone)]
pub(crate) struct Selection {
    bits: [u8; BLOCK / 8],
    length: usize,
    pub(super) count: usize,
}

impl Selection {
    /// Entries after which [`packed`](Self::packed) and [`unpack`](Self::unpack) do what was asked for in between.
    const PART: usize = 512;

    /// Calls of what is done in between, in a whole block.
    pub(super) const PARTS: usize = BLOCK / Self::PART;

    /// The entries whose flag is not negative.
    pub(super) fn of(simd: Simd, flags: &[i8]) -> Self {
        let mut bits = [0; BLOCK / 8];
        let (done, mut count) = not_negative(simd, flags, &mut bits);
        for (i, &flag) in flags.iter().enumerate().skip(done) {
            bits[i / 8] |= u8::from(flag >= 0) << (i % 8);
            count += usize::from(flag >= 0);
        }
        Self { bits, length: flags.len(), count }
    }

    /// The entries whose cell is 0 or 1 and not −1, and those cells as [`packed`](Self::packed) gives them.
    pub(super) fn of_cells<'a>(simd: Simd, cells: &'a [i8], room: &'a mut Buffer<i8>) -> (Self, &'a [i8]) {
        #[cfg(target_arch = "x86_64")]
        if simd.gathers_bits() {
            let (room, mut bits) = (room.get(), [0; BLOCK / 8]);
            // SAFETY: such a level is only chosen where the machine has its features.
            let count = unsafe { x86::not_negative_and_packed(cells, &mut bits, room) };
            let selection = Self { bits, length: cells.len(), count };
            let packed = &room[..selection.filled_up()];
            return (selection, packed);
        }
        let selection = Self::of(simd, cells);
        let packed = selection.packed(simd, cells, room, || ());
        (selection, packed)
    }

    /// The other entries.
    pub(super) fn complement(&self) -> Self {
        let mut bits = self.bits.map(|bits| !bits);
        if !self.length.is_multiple_of(8) {
            bits[self.length / 8] &= (1 << (self.length % 8)) - 1;
        }
        Self { bits, length: self.length, count: self.length - self.count }
    }

    pub(super) fn is_all(&self) -> bool {
        self.count == self.length
    }

    /// How many entries [`packed`](Self::packed) gives.
    pub(super) fn filled_up(&self) -> usize {
        /// Entries of the longest vectors that the compiler makes, several at a time.
        const VECTORS: usize = 32;
        if self.is_all() { self.count } else { self.count.next_multiple_of(VECTORS) }
    }

    /// The numbers that count side by side, and behind them what fills up the last vectors: 0, or something that was in
    /// `all` or in `room`. None of none.
    pub(super) fn packed<'a, F: Pack>(
        &self,
        simd: Simd,
        all: &'a [F],
        room: &'a mut Buffer<F>,
        mut between: impl FnMut(),
    ) -> &'a [F] {
        if all.is_empty() || self.is_all() {
            return all;
        }
        let (room, mut count) = (room.get(), 0);
        for (all, bits) in all[..self.length].chunks(Self::PART).zip(self.bits.chunks(Self::PART / 8)) {
            let done = F::pack(simd, bits, all, room, &mut count);
            for (i, &number) in all.iter().enumerate().skip(done) {
                room[count % BLOCK] = number;
                count += usize::from(bits[i / 8] >> (i % 8) & 1);
            }
            between();
        }
        &room[..self.filled_up()]
    }

    /// Puts packed numbers back where they belong, and 0 elsewhere. `past_caches`: straight to memory, which for other
    /// threads to see takes a [`fence`](super::cache::fence).
    pub(super) fn unpack<F: Pack>(
        &self,
        simd: Simd,
        packed: &[F; BLOCK],
        all: &mut [F],
        past_caches: bool,
        mut between: impl FnMut(),
    ) {
        let mut count = 0;
        for (all, bits) in all[..self.length].chunks_mut(Self::PART).zip(self.bits.chunks(Self::PART / 8)) {
            let done = F::unpack(simd, bits, packed, all, &mut count, past_caches);
            for (i, number) in all.iter_mut().enumerate().skip(done) {
                let counts = bits[i / 8] >> (i % 8) & 1 != 0;
                *number = packed[count % BLOCK].or_zero(counts);
                count += usize::from(counts);
            }
            between();
        }
    }
}

/// A bit for each of the first flags, set where it is not negative; says how many flags, a multiple of 8, and how many set.
fn not_negative(simd: Simd, flags: &[i8], bits: &mut [u8; BLOCK / 8]) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if simd != Simd::Portable {
        // SAFETY: such a level is only chosen where the machine has its features.
        return unsafe { x86::not_negative(flags, bits) };
    }
    let _ = simd;
    let chunks = flags.as_chunks::<8>().0;
    let mut count = 0;
    for (bits, flags) in bits.iter_mut().zip(chunks) {
        // The eight signs, moved next to each other by one multiplication.
        let signs = (u64::from_le_bytes(flags.map(|flag| flag as u8)) >> 7) & 0x0101_0101_0101_0101;
        *bits = !(signs.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
        count += bits.count_ones() as usize;
    }
    (8 * chunks.len(), count)
}

/// Packing by vectors. Both do the first of some entries, as many as fit into vectors, say how many, and count those that
/// count. Where they begin, `count` is no more than the entries of the block before them.
pub(crate) trait Pack: Copy + Default {
    /// The number, or 0, by its bits: a choice between the two would become a branch, which is guessed wrong too often.
    fn or_zero(self, keep: bool) -> Self;
    fn pack(_: Simd, _bits: &[u8], _all: &[Self], _packed: &mut [Self; BLOCK], _count: &mut usize) -> usize {
        0
    }
    fn unpack(
        _: Simd,
        _bits: &[u8],
        _packed: &[Self; BLOCK],
        _all: &mut [Self],
        _count: &mut usize,
        _past_caches: bool,
    ) -> usize {
        0
    }
    /// Whether [`unpack`](Self::unpack) can go past the caches.
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

impl Pack for i8 {
    #[inline(always)]
    fn or_zero(self, keep: bool) -> Self {
        self & -Self::from(keep)
    }

    #[cfg(target_arch = "x86_64")]
    fn pack(simd: Simd, bits: &[u8], all: &[Self], packed: &mut [Self; BLOCK], count: &mut usize) -> usize {
        match simd {
            Simd::Portable => 0,
            // SAFETY: such a level is only chosen where the machine has its features.
            _ => unsafe { x86::pack_8_bytes(bits, all, packed, count) },
        }
    }
}

impl Pack for f32 {
    #[inline(always)]
    fn or_zero(self, keep: bool) -> Self {
        Self::from_bits(self.to_bits() & u32::from(keep).wrapping_neg())
    }

    #[cfg(target_arch = "x86_64")]
    fn pack(simd: Simd, bits: &[u8], all: &[Self], packed: &mut [Self; BLOCK], count: &mut usize) -> usize {
        // SAFETY: such a level is only chosen where the machine has its features.
        match simd {
            Simd::Portable => 0,
            Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { x86::pack_8(bits, all, packed, count) },
            Simd::Avx512 => unsafe { x86::pack_16(bits, all, packed, count) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn unpack(
        simd: Simd,
        bits: &[u8],
        packed: &[Self; BLOCK],
        all: &mut [Self],
        count: &mut usize,
        past_caches: bool,
    ) -> usize {
        // Whole vectors past the caches: 32 or 64 bytes.
        let past_caches = past_caches && all.as_ptr().addr().is_multiple_of(64);
        // SAFETY: as above; aligned as it must be.
        match (simd, past_caches) {
            (Simd::Portable, _) => 0,
            (Simd::Avx2 | Simd::Avx2Bmi2, false) => unsafe { x86::unpack_8::<false>(bits, packed, all, count) },
            (Simd::Avx2 | Simd::Avx2Bmi2, true) => unsafe { x86::unpack_8::<true>(bits, packed, all, count) },
            (Simd::Avx512, false) => unsafe { x86::unpack_16::<false>(bits, packed, all, count) },
            (Simd::Avx512, true) => unsafe { x86::unpack_16::<true>(bits, packed, all, count) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn streams(simd: Simd) -> bool {
        simd != Simd::Portable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::cache::fence;

    #[test]
    fn what_counts_is_packed_in_order_and_put_back() {
        for length in [0, 1, 7, 8, 15, 16, 63, 64, 100, 511, 512, 700, BLOCK - 1, BLOCK] {
            for every in [1, 2, 3, 50, BLOCK + 1] {
                let counts = |i: usize| (i * i + i / 7).is_multiple_of(every);
                let cell = |i: usize| if counts(i) { (i / 3 % 2) as i8 } else { -1 };
                let cells: Vec<i8> = (0..length).map(cell).collect();
                for simd in Simd::available() {
                    let selection = Selection::of(simd, &cells);
                    goes_round(simd, &selection, length, counts, |i| i as i8);
                    goes_round(simd, &selection, length, counts, |i| i as f32 + 1.0);
                    goes_round(simd, &selection, length, counts, |i| i as f64 + 1.0);
                    goes_round(simd, &selection.complement(), length, |i| !counts(i), |i| i as f32 + 1.0);

                    let mut room = Buffer::new();
                    let (same, packed) = Selection::of_cells(simd, &cells, &mut room);
                    let kept: Vec<i8> = cells.iter().copied().filter(|&cell| cell >= 0).collect();
                    assert_eq!((same.bits, same.count), (selection.bits, kept.len()), "{simd:?}");
                    assert_eq!((packed.len(), &packed[..kept.len()]), (selection.filled_up(), &kept[..]), "{simd:?}");
                }
            }
        }
    }

    fn goes_round<F: Pack + PartialEq + std::fmt::Debug>(
        simd: Simd,
        selection: &Selection,
        length: usize,
        counts: impl Fn(usize) -> bool,
        number: impl Fn(usize) -> F,
    ) {
        let all: Vec<F> = (0..length).map(&number).collect();
        let kept: Vec<F> = (0..length).filter(|&i| counts(i)).map(&number).collect();
        assert_eq!((selection.count, selection.is_all()), (kept.len(), kept.len() == length));
        let mut room = Buffer::new();
        assert_eq!(selection.packed(simd, &all, &mut room, || ())[..kept.len()], kept, "{simd:?}");
        let mut packed = [F::default(); BLOCK];
        packed[..kept.len()].copy_from_slice(&kept);
        let expected: Vec<F> = (0..length).map(|i| if counts(i) { number(i) } else { F::default() }).collect();
        // Where vectors may go past the caches, and where they may not.
        for (past_caches, start) in [(false, 0), (true, 0), (true, 1)] {
            let mut buffer = Buffer::new();
            let found = &mut buffer.get()[start.min(BLOCK - length)..][..length];
            found.fill_with(|| number(BLOCK));
            let mut times = 0;
            selection.unpack(simd, &packed, found, past_caches, || times += 1);
            fence();
            assert_eq!((&*found, times), (&expected[..], length.div_ceil(Selection::PART)), "{simd:?}");
        }
    }
}
