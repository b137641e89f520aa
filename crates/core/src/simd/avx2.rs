//! Packing with AVX2, which shuffles 8 lanes by a table.

use std::arch::asm;
use std::arch::x86_64::*;

use super::groups::{GroupLoop, pack_observed};
use crate::sizes::{BLOCK, GROUP};

/// For each pattern of 8 bits: which lane each packed lane comes from.
static SOURCES: [[u8; 8]; 256] = tables().0;
/// For each pattern of 8 bits: which packed lane each lane comes from; negative for a lane whose bit is not set.
static PLACES: [[u8; 8]; 256] = tables().1;

const fn tables() -> ([[u8; 8]; 256], [[u8; 8]; 256]) {
    let (mut sources, mut places) = ([[0; 8]; 256], [[0x80; 8]; 256]);
    let mut bits = 0;
    while bits < 256 {
        let (mut lane, mut packed) = (0, 0);
        while lane < 8 {
            if bits >> lane & 1 != 0 {
                places[bits][lane as usize] = packed;
                sources[bits][packed as usize] = lane;
                packed += 1;
            }
            lane += 1;
        }
        bits += 1;
    }
    (sources, places)
}

/// See [`pack_observed`].
#[target_feature(enable = "avx2,popcnt")]
pub(crate) fn observe(groups: &[[i8; GROUP]], bits: &mut [u64], packed: &mut [i8; BLOCK], count: usize) -> usize {
    pack_observed(groups, bits, packed, count, |cells, packed| {
        let bits = !signs(&load(cells));
        let mut count = 0;
        for (cells, bits) in cells.as_chunks::<8>().0.iter().zip(bits.to_le_bytes()) {
            // SAFETY: 8 bytes each; no more of the group is packed than was visited.
            unsafe {
                let sources = _mm_loadu_si64(SOURCES[usize::from(bits)].as_ptr());
                let numbers = _mm_shuffle_epi8(_mm_loadu_si64(cells.as_ptr().cast()), sources);
                _mm_storeu_si64(packed.as_mut_ptr().add(count).cast(), numbers);
            }
            count += bits.count_ones() as usize;
        }
        bits
    })
}

/// See [`pack_observed`]. Cells that are not negative are 0 or 1: this packs their lowest bits.
#[target_feature(enable = "avx2,bmi2,popcnt")]
pub(crate) fn observe_by_bits(
    groups: &[[i8; GROUP]],
    bits: &mut [u64],
    packed: &mut [i8; BLOCK],
    count: usize,
) -> usize {
    pack_observed(groups, bits, packed, count, |cells, packed| {
        const LOWEST: u64 = 0x0101_0101_0101_0101;
        let halves = load(cells);
        let bits = !signs(&halves);
        let labels = _pext_u64(signs(&halves.map(|half| _mm256_slli_epi16::<7>(half))), bits);
        let packed = packed.as_chunks_mut::<8>().0;
        let mut eight = |which: usize| {
            packed[which] = _pdep_u64(labels >> (8 * which), LOWEST).to_le_bytes().map(|byte| byte as i8)
        };
        (0..4).for_each(&mut eight);
        if bits.count_ones() > 32 {
            (4..8).for_each(eight);
        }
        bits
    })
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(cells: &[i8; GROUP]) -> [__m256i; 2] {
    // SAFETY: 64 bytes.
    unsafe { [0, 32].map(|half| _mm256_loadu_si256(cells.as_ptr().add(half).cast())) }
}

/// A bit for each byte's sign.
#[target_feature(enable = "avx2")]
#[inline]
fn signs(halves: &[__m256i; 2]) -> u64 {
    let [low, high] = halves.map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
    low | high << 32
}

/// Runs a loop with this module's functions.
#[target_feature(enable = "avx2,popcnt")]
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

// Each vector is written in full where its packed numbers begin: no more of a group is packed than was visited. A
// bounds check for each vector would take as long as the packing.

#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn pack_group(bits: u64, group: &[f32; GROUP], packed: &mut [f32; GROUP]) {
    let mut count = 0;
    for (numbers, bits) in group.as_chunks::<8>().0.iter().zip(bits.to_le_bytes()) {
        // SAFETY: 8 bytes and 8 numbers each; see above.
        unsafe {
            let sources = _mm256_cvtepu8_epi32(_mm_loadu_si64(SOURCES[usize::from(bits)].as_ptr()));
            let numbers = _mm256_permutevar8x32_ps(_mm256_loadu_ps(numbers.as_ptr()), sources);
            _mm256_storeu_ps(packed.as_mut_ptr().add(count), numbers);
        }
        count += bits.count_ones() as usize;
    }
}

/// # Safety
/// `group` is aligned to 32 bytes if the stores are non-temporal.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
unsafe fn unpack_group<const NON_TEMPORAL: bool>(bits: u64, packed: &[f32; GROUP], group: &mut [f32; GROUP]) {
    let mut count = 0;
    for (numbers, bits) in group.as_chunks_mut::<8>().0.iter_mut().zip(bits.to_le_bytes()) {
        let places: __m256i;
        // SAFETY: 8 bytes and 8 numbers each; see above.
        unsafe {
            // The instruction of `_mm256_cvtepi8_epi32`. For the intrinsic, the compiler sees that a shuffle ignores
            // signs, and widens twice: once for the shuffle and once for the signs. That is slower.
            asm!(
                "vpmovsxbd {places}, qword ptr [{table}]",
                places = out(ymm_reg) places,
                table = in(reg) &raw const PLACES[usize::from(bits)],
                options(pure, readonly, nostack, preserves_flags)
            );
            let put = _mm256_permutevar8x32_ps(_mm256_loadu_ps(packed.as_ptr().add(count)), places);
            let put = _mm256_blendv_ps(put, _mm256_setzero_ps(), _mm256_castsi256_ps(places));
            if NON_TEMPORAL {
                _mm256_stream_ps(numbers.as_mut_ptr(), put);
            } else {
                _mm256_storeu_ps(numbers.as_mut_ptr(), put);
            }
        }
        count += bits.count_ones() as usize;
    }
}
