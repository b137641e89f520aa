//! Loops over groups of entries, around the packing of one group.

use crate::sizes::{BLOCK, GROUP};

/// A loop over groups of `F`, around a level's functions that pack and unpack one group.
///
/// `pack(bits, group, packed)` writes the numbers whose bit is set to the beginning of `packed`, and anything after
/// them. `unpack(bits, packed, group)` puts them back, and 0 into the other places.
pub trait GroupLoop<F> {
    type Output;

    /// Whether to unpack by non-temporal stores; the groups are then aligned to a cache line.
    fn non_temporal(&self) -> bool {
        false
    }

    /// Mark this, and everything that it calls, `#[inline(always)]`: only then is it compiled for the level.
    fn run(
        self,
        pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
        unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
    ) -> Self::Output;
}

/// Packs groups after the first `count` numbers, and returns the new count.
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

/// Unpacks groups, starting with the number at `count`, and returns the new count.
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

/// A group with the numbers of `rest` at its beginning, and `filler` after them.
pub(crate) fn filled<F: Copy>(rest: &[F], filler: F) -> [F; GROUP] {
    let mut group = [filler; GROUP];
    group[..rest.len()].copy_from_slice(rest);
    group
}

/// A group of packed numbers, from position `count` on.
#[inline(always)]
pub(crate) fn group_at<F, const N: usize>(packed: &mut [F; N], count: usize) -> &mut [F; GROUP] {
    &mut packed[count..count + GROUP].as_chunks_mut().0[0]
}

/// Packs the cells of groups that are not negative, and returns the new count. `observe` packs one group, and returns
/// its bits.
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
