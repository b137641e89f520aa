//! Loops over groups of entries, around the packing of one.

use crate::sizes::{BLOCK, GROUP};

/// A loop over groups of `F`, around a level's functions that pack and unpack one group.
///
/// `pack(bits, group, packed)` puts the numbers whose bit is set at the beginning of `packed` and anything behind them;
/// `unpack(bits, packed, group)` puts them back, and 0 elsewhere.
pub trait GroupLoop<F> {
    type Output;

    /// Whether the groups that are unpacked are aligned to a cache line and to be written by non-temporal stores.
    fn non_temporal(&self) -> bool {
        false
    }

    /// Marked `#[inline(always)]`, as all that it calls: only then it is compiled for the level.
    fn run(
        self,
        pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
        unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
    ) -> Self::Output;
}

/// Packs groups behind the first `count` numbers, and returns how many there are then.
pub(crate) struct PackAll<'a, F> {
    pub(crate) bits: &'a [u64],
    pub(crate) groups: &'a [[F; GROUP]],
    pub(crate) packed: &'a mut [F; BLOCK],
    pub(crate) count: usize,
}

impl<F> GroupLoop<F> for PackAll<'_, F> {
    type Output = usize;

    #[inline(always)]
    fn run(
        self,
        pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
        _: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
    ) -> usize {
        let mut count = self.count;
        for (group, &bits) in self.groups.iter().zip(self.bits) {
            pack(bits, group, group_at(self.packed, count));
            count += bits.count_ones() as usize;
        }
        count
    }
}

/// Unpacks groups from the number after `count` on, and returns how many numbers are unpacked then.
pub(crate) struct UnpackAll<'a, F> {
    pub(crate) bits: &'a [u64],
    pub(crate) packed: &'a [F],
    pub(crate) groups: &'a mut [[F; GROUP]],
    pub(crate) count: usize,
}

impl<F> GroupLoop<F> for UnpackAll<'_, F> {
    type Output = usize;

    #[inline(always)]
    fn run(
        self,
        _: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
        unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
    ) -> usize {
        let mut count = self.count;
        for (group, &bits) in self.groups.iter_mut().zip(self.bits) {
            unpack(bits, &self.packed[count..count + GROUP].as_chunks().0[0], group);
            count += bits.count_ones() as usize;
        }
        count
    }
}

/// A group of which there is only the beginning.
pub(crate) fn filled<F: Copy>(rest: &[F], filler: F) -> [F; GROUP] {
    let mut group = [filler; GROUP];
    group[..rest.len()].copy_from_slice(rest);
    group
}

/// The packed numbers from the one after `count` on.
#[inline(always)]
pub(crate) fn group_at<F, const N: usize>(packed: &mut [F; N], count: usize) -> &mut [F; GROUP] {
    &mut packed[count..count + GROUP].as_chunks_mut().0[0]
}

/// Packs the cells of groups that are not negative, by a function that returns which those are; how many there are then.
#[inline(always)]
pub(crate) fn pack_observed(
    groups: &[[i8; GROUP]],
    bits: &mut [u64],
    packed: &mut [i8; BLOCK],
    mut count: usize,
    observe: impl Fn(&[i8; GROUP], &mut [i8; GROUP]) -> u64,
) -> usize {
    for (group, bits) in groups.iter().zip(bits) {
        *bits = observe(group, group_at(packed, count));
        count += bits.count_ones() as usize;
    }
    count
}
