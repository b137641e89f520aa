//! Packing with AVX-512, which has instructions for it.

use std::arch::asm;
use std::arch::x86_64::*;

use super::groups::{GroupLoop, pack_observed};
use crate::sizes::{BLOCK, GROUP};

/// See [`pack_observed`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
pub(crate) fn observe(groups: &[[i8; GROUP]], bits: &mut [u64], packed: &mut [i8; BLOCK], count: usize) -> usize {
    pack_observed(groups, bits, packed, count, |cells, packed| {
        // SAFETY: 64 bytes.
        let cells = unsafe { _mm512_loadu_si512(cells.as_ptr().cast()) };
        let bits = !_mm512_movepi8_mask(cells);
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(packed.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(bits, cells)) };
        bits
    })
}

/// Runs a loop with this module's functions.
#[target_feature(enable = "avx512f,popcnt")]
pub(crate) fn run<L: GroupLoop<f32>>(groups: L) -> L::Output {
    let pack = |bits, group: &_, packed: &mut _| pack_group(bits, group, packed);
    if groups.non_temporal() {
        // SAFETY: the loop's groups are aligned.
        groups.run(pack, |bits, packed, group| unsafe { unpack_group::<true>(bits, packed, group) })
    } else {
        // SAFETY: ordinary stores.
        groups.run(pack, |bits, packed, group| unsafe { unpack_group::<false>(bits, packed, group) })
    }
}

// Each vector is read or written in full where its packed numbers begin: no more of a group is packed than was visited.

/// The bits of each of a group's vectors, and how many numbers of the group are packed before the vector's own.
#[inline(always)]
fn vectors(bits: u64) -> [(u16, usize); 4] {
    [0, 16, 32, 48].map(|first| ((bits >> first) as u16, (bits & ((1 << first) - 1)).count_ones() as usize))
}

#[target_feature(enable = "avx512f,popcnt")]
#[inline]
fn pack_group(bits: u64, group: &[f32; GROUP], packed: &mut [f32; GROUP]) {
    for (numbers, (bits, count)) in group.as_chunks::<16>().0.iter().zip(vectors(bits)) {
        // SAFETY: 16 numbers each; see above. Compresses into a register: compressing to memory is slow on AMD.
        unsafe {
            let together = _mm512_maskz_compress_ps(bits, _mm512_loadu_ps(numbers.as_ptr()));
            _mm512_storeu_ps(packed.as_mut_ptr().add(count), together);
        }
    }
}

/// # Safety
/// `group` is aligned to 64 bytes if the stores are non-temporal.
#[target_feature(enable = "avx512f,popcnt")]
#[inline]
unsafe fn unpack_group<const NON_TEMPORAL: bool>(bits: u64, packed: &[f32; GROUP], group: &mut [f32; GROUP]) {
    for (numbers, (bits, count)) in group.as_chunks_mut::<16>().0.iter_mut().zip(vectors(bits)) {
        // SAFETY: 16 numbers each; see above.
        unsafe {
            let put = _mm512_maskz_expand_ps(bits, load(packed.as_ptr().add(count)));
            if NON_TEMPORAL {
                _mm512_stream_ps(numbers.as_mut_ptr(), put);
            } else {
                _mm512_storeu_ps(numbers.as_mut_ptr(), put);
            }
        }
    }
}

/// The instruction of `_mm512_loadu_ps`. The compiler would merge the intrinsic into the expansion, which takes AMD
/// twice as long from memory.
///
/// # Safety
/// `numbers` points to 16 numbers.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load(numbers: *const f32) -> __m512 {
    let vector;
    // SAFETY: the caller guarantees it.
    unsafe {
        asm!(
            "vmovups {vector}, zmmword ptr [{numbers}]",
            vector = out(zmm_reg) vector,
            numbers = in(reg) numbers,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    vector
}
