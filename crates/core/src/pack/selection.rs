//! Which entries of a block count.

use crate::memory::Buffer;
use crate::scalar::Scalar;
use crate::simd::groups::{PackAll, UnpackAll, filled};
use crate::simd::{Simd, portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, avx512};
use crate::sizes::{BLOCK, GROUP};

/// The entries of a block that count: a bit for each entry, and a word for each group.
pub(crate) struct Selection {
    pub(super) bits: [u64; BLOCK / GROUP],
    length: usize,
    pub(crate) count: usize,
}

impl Selection {
    /// A selection of an empty block.
    pub(crate) const fn none() -> Self {
        Self { bits: [0; BLOCK / GROUP], length: 0, count: 0 }
    }

    /// Selects the entries whose cell is 0 or 1 and not −1, and packs those cells.
    pub(crate) fn set(&mut self, simd: Simd, cells: &[i8], packed: &mut [i8; BLOCK]) {
        (self.length, self.count) = (cells.len(), 0);
        let (groups, rest) = cells.as_chunks();
        for (groups, first) in [(groups, 0), (&[filled(rest, -1)], groups.len())] {
            // A whole block has no word for an empty rest.
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

    /// Selects the other entries.
    pub(crate) fn complement(&self) -> Self {
        let mut bits = self.bits.map(|bits| !bits);
        if let Some(last) = bits.get_mut(self.length / GROUP) {
            *last &= (1 << (self.length % GROUP)) - 1;
        }
        Self { bits, length: self.length, count: self.length - self.count }
    }

    pub(crate) fn is_all(&self) -> bool {
        self.count == self.length
    }

    /// How many numbers [`packed`](Self::packed) returns.
    pub(crate) fn padded_count(&self) -> usize {
        /// The number of entries in the compiler's longest vectors, of which it uses several at a time.
        const VECTORS: usize = 32;
        if self.is_all() { self.count } else { self.count.next_multiple_of(VECTORS) }
    }

    /// The numbers that count, packed, then padding to whole vectors: 0, or numbers from `all` or `buffer`. Empty if
    /// `all` is.
    pub(crate) fn packed<'a, F: Scalar>(&self, simd: Simd, all: &'a [F], buffer: &'a mut Buffer<F>) -> &'a [F] {
        if all.is_empty() || self.is_all() {
            return all;
        }
        let packed = buffer.get();
        let (groups, rest) = all.as_chunks();
        let count = F::run(simd, PackAll { bits: &self.bits, groups, packed, count: 0 });
        if !rest.is_empty() {
            let (bits, groups) = (&self.bits[groups.len()..], &[filled(rest, F::default())]);
            F::run(simd, PackAll { bits, groups, packed, count });
        }
        &packed[..self.padded_count()]
    }

    /// Puts packed numbers back into their places, and 0 into the others.
    pub(crate) fn unpack<F: Scalar>(&self, simd: Simd, packed: &[F], all: &mut [F]) {
        let (groups, rest) = all.as_chunks_mut();
        let whole = groups.len();
        let count = F::run(simd, UnpackAll { bits: &self.bits, packed, groups, count: 0 });
        if !rest.is_empty() {
            let mut last = [F::default(); GROUP];
            let groups = std::slice::from_mut(&mut last);
            F::run(simd, UnpackAll { bits: &self.bits[whole..], packed, groups, count });
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}
