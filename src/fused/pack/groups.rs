//! Loops over groups of entries, around the packing of one.

use super::{BLOCK, GROUP};

/// A group of which there is only the beginning.
pub(super) fn filled<F: Copy>(rest: &[F], filler: F) -> [F; GROUP] {
    let mut group = [filler; GROUP];
    group[..rest.len()].copy_from_slice(rest);
    group
}

/// Where a group goes.
#[inline(always)]
pub(super) fn room<F, const N: usize>(packed: &mut [F; N], count: usize) -> &mut [F; GROUP] {
    &mut packed[count..count + GROUP].as_chunks_mut().0[0]
}

/// Packs the cells of groups that are not negative, by a function that says which those are; how many there are then.
#[inline(always)]
pub(super) fn observe_groups(
    groups: &[[i8; GROUP]],
    bits: &mut [u64],
    packed: &mut [i8; BLOCK],
    mut count: usize,
    observe: impl Fn(&[i8; GROUP], &mut [i8; GROUP]) -> u64,
) -> usize {
    for (group, bits) in groups.iter().zip(bits) {
        *bits = observe(group, room(packed, count));
        count += bits.count_ones() as usize;
    }
    count
}

/// Packs groups behind the first `count`, and says how many there are then.
#[inline(always)]
pub(super) fn pack_groups<F>(
    bits: &[u64],
    groups: &[[F; GROUP]],
    packed: &mut [F; BLOCK],
    mut count: usize,
    pack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
) -> usize {
    for (group, &bits) in groups.iter().zip(bits) {
        pack(bits, group, room(packed, count));
        count += bits.count_ones() as usize;
    }
    count
}

/// Puts groups back, from the number after `count` on, and says how many have been then.
#[inline(always)]
pub(super) fn unpack_groups<F>(
    bits: &[u64],
    packed: &[F],
    groups: &mut [[F; GROUP]],
    mut count: usize,
    unpack: impl Fn(u64, &[F; GROUP], &mut [F; GROUP]),
) -> usize {
    for (group, &bits) in groups.iter_mut().zip(bits) {
        unpack(bits, &packed[count..count + GROUP].as_chunks().0[0], group);
        count += bits.count_ones() as usize;
    }
    count
}

/// The loops over groups of `f32`, compiled with these features around the module's `pack_group` and `unpack_group`.
#[cfg(target_arch = "x86_64")]
macro_rules! level {
    ($features:literal) => {
        /// See [`pack_groups`](super::groups::pack_groups).
        #[target_feature(enable = $features)]
        pub(super) fn pack(bits: &[u64], groups: &[[f32; GROUP]], packed: &mut [f32; BLOCK], count: usize) -> usize {
            super::groups::pack_groups(bits, groups, packed, count, |bits, group, packed| {
                pack_group(bits, group, packed)
            })
        }

        /// See [`unpack_groups`](super::groups::unpack_groups).
        #[target_feature(enable = $features)]
        pub(super) fn unpack(bits: &[u64], packed: &[f32], groups: &mut [[f32; GROUP]], count: usize) -> usize {
            // SAFETY: nothing goes past the caches.
            super::groups::unpack_groups(bits, packed, groups, count, |bits, packed, group| unsafe {
                unpack_group::<false>(bits, packed, group)
            })
        }

        /// See [`Traffic::advance`](super::Traffic::advance).
        #[target_feature(enable = $features)]
        pub(super) fn advance(traffic: &mut super::Traffic<'_, f32, impl super::Ask>, target: usize, computed: usize) {
            let pack = |bits, group: &_, packed: &mut _| pack_group(bits, group, packed);
            if traffic.past_caches() {
                // SAFETY: aligned, see `Traffic::past_caches`.
                traffic.advance_by(target, computed, pack, |bits, packed, group| unsafe {
                    unpack_group::<true>(bits, packed, group)
                });
            } else {
                // SAFETY: nothing goes past the caches.
                traffic.advance_by(target, computed, pack, |bits, packed, group| unsafe {
                    unpack_group::<false>(bits, packed, group)
                });
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use level;
