//! Packing one number at a time, without branches, for any number type.

use super::float::Float;
use super::groups::{GroupLoop, pack_observed};
use crate::sizes::{BLOCK, GROUP};

/// See [`pack_observed`].
pub(crate) fn observe(groups: &[[i8; GROUP]], bits: &mut [u64], packed: &mut [i8; BLOCK], count: usize) -> usize {
    pack_observed(groups, bits, packed, count, |cells, packed| {
        let bits = cells.iter().rev().fold(0, |bits, &cell| bits << 1 | u64::from(cell >= 0));
        pack(bits, cells, packed);
        bits
    })
}

/// Runs a loop with this module's functions.
pub(crate) fn run<F: Float, L: GroupLoop<F>>(groups: L) -> L::Output {
    groups.run(pack, unpack)
}

/// See [`GroupLoop`].
#[inline(always)]
pub(crate) fn pack<F: Copy>(bits: u64, group: &[F; GROUP], packed: &mut [F; GROUP]) {
    let mut count = 0;
    for (i, &number) in group.iter().enumerate() {
        packed[count % GROUP] = number;
        count += (bits >> i & 1) as usize;
    }
}

/// See [`GroupLoop`].
#[inline(always)]
pub(crate) fn unpack<F: Float>(bits: u64, packed: &[F; GROUP], group: &mut [F; GROUP]) {
    let mut count = 0;
    for (i, number) in group.iter_mut().enumerate() {
        let counts = bits >> i & 1;
        *number = packed[count % GROUP].or_zero(counts != 0);
        count += counts as usize;
    }
}
