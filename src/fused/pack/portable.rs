//! Packing one by one, without branches.

use super::groups::observe_groups;
use super::{BLOCK, GROUP, Pack};

/// See [`observe_groups`].
pub(super) fn observe(groups: &[[i8; GROUP]], bits: &mut [u64], packed: &mut [i8; BLOCK], count: usize) -> usize {
    observe_groups(groups, bits, packed, count, |cells, packed| {
        let bits = cells.iter().rev().fold(0, |bits, &cell| bits << 1 | u64::from(cell >= 0));
        pack(bits, cells, packed);
        bits
    })
}

/// See [`pack_groups`](super::groups::pack_groups).
#[inline(always)]
pub(super) fn pack<F: Copy>(bits: u64, group: &[F; GROUP], packed: &mut [F; GROUP]) {
    let mut count = 0;
    for (i, &number) in group.iter().enumerate() {
        packed[count % GROUP] = number;
        count += (bits >> i & 1) as usize;
    }
}

/// See [`unpack_groups`](super::groups::unpack_groups).
#[inline(always)]
pub(super) fn unpack<F: Pack>(bits: u64, packed: &[F; GROUP], group: &mut [F; GROUP]) {
    let mut count = 0;
    for (i, number) in group.iter_mut().enumerate() {
        let counts = bits >> i & 1;
        *number = packed[count % GROUP].or_zero(counts != 0);
        count += counts as usize;
    }
}
