//! Packing by AVX2, which shuffles 8 lanes by a table, and by AVX-512, which has instructions for it.

use std::arch::asm;
use std::arch::x86_64::*;

use super::BLOCK;

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

// Each vector is written in full where its packed numbers begin: from `count` on there is room for all entries to come, and
// no more of them are packed than were visited. An index checked at each would take as long as the packing.

/// See [`not_negative`](super::not_negative).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn not_negative(flags: &[i8], bits: &mut [u8; BLOCK / 8]) -> (usize, usize) {
    let chunks = flags.as_chunks::<32>().0;
    let mut count = 0;
    for (bits, flags) in bits.as_chunks_mut::<4>().0.iter_mut().zip(chunks) {
        // SAFETY: 32 bytes.
        let flags = unsafe { _mm256_loadu_si256(flags.as_ptr().cast()) };
        let set = !_mm256_movemask_epi8(flags);
        *bits = set.to_le_bytes();
        count += set.count_ones() as usize;
    }
    (32 * chunks.len(), count)
}

/// A bit for each cell that is not negative, those cells side by side, each being 0 or 1, and how many they are.
#[target_feature(enable = "avx2,bmi2,popcnt")]
pub(super) fn not_negative_and_packed(cells: &[i8], bits: &mut [u8; BLOCK / 8], packed: &mut [i8; BLOCK]) -> usize {
    assert!(cells.len() <= BLOCK);
    let (chunks, rest) = cells.as_chunks::<64>();
    let (bits, to) = (bits.as_chunks_mut::<8>().0, packed.as_mut_ptr());
    let mut count = 0;
    for (cells, bits) in chunks.iter().zip(&mut *bits) {
        // SAFETY: see above.
        count += unsafe { pack_bits(cells, bits, to.add(count)) };
    }
    if let Some(bits) = bits.get_mut(chunks.len())
        && !rest.is_empty()
    {
        let mut last = [-1; 64];
        last[..rest.len()].copy_from_slice(rest);
        // SAFETY: see above.
        count += unsafe { pack_bits(&last, bits, to.add(count)) };
    }
    count
}

/// # Safety
/// There is room for 64 at `to`.
#[target_feature(enable = "avx2,bmi2,popcnt")]
#[inline]
unsafe fn pack_bits(cells: &[i8; 64], bits: &mut [u8; 8], to: *mut i8) -> usize {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    // SAFETY: 64 bytes.
    let halves = unsafe { [0, 32].map(|half| _mm256_loadu_si256(cells.as_ptr().add(half).cast())) };
    let [negative, ones] = [halves, halves.map(|half| _mm256_slli_epi16::<7>(half))]
        .map(|[low, high]| u64::from(movemask(low)) | u64::from(movemask(high)) << 32);
    *bits = (!negative).to_le_bytes();
    let count = negative.count_zeros() as usize;
    // Their lowest bits side by side, and from there to a byte for each.
    let labels = _pext_u64(ones, !negative);
    let eight = |which: usize| {
        // SAFETY: the caller's.
        unsafe { to.add(8 * which).cast::<u64>().write_unaligned(_pdep_u64(labels >> (8 * which), LOWEST)) }
    };
    (0..4).for_each(eight);
    if count > 32 {
        (4..8).for_each(eight);
    }
    count
}

/// A bit for each byte's sign.
#[target_feature(enable = "avx2")]
fn movemask(bytes: __m256i) -> u32 {
    _mm256_movemask_epi8(bytes).cast_unsigned()
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn pack_8_bytes(bits: &[u8], all: &[i8], packed: &mut [i8; BLOCK], count: &mut usize) -> usize {
    assert!(*count + all.len() <= BLOCK);
    let chunks = all.as_chunks::<8>().0;
    for (all, &bits) in chunks.iter().zip(bits) {
        // SAFETY: 8 bytes each; see above.
        unsafe {
            let sources = _mm_loadu_si64(SOURCES[usize::from(bits)].as_ptr());
            let numbers = _mm_shuffle_epi8(_mm_loadu_si64(all.as_ptr().cast()), sources);
            _mm_storeu_si64(packed.as_mut_ptr().add(*count).cast(), numbers);
        }
        *count += bits.count_ones() as usize;
    }
    8 * chunks.len()
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn pack_8(bits: &[u8], all: &[f32], packed: &mut [f32; BLOCK], count: &mut usize) -> usize {
    assert!(*count + all.len() <= BLOCK);
    let chunks = all.as_chunks::<32>().0;
    let mut now = *count;
    for (all, bits) in chunks.iter().zip(bits.as_chunks::<4>().0) {
        for (all, &bits) in all.as_chunks::<8>().0.iter().zip(bits) {
            // SAFETY: 8 bytes and 8 numbers each; see above.
            unsafe {
                let sources = _mm256_cvtepu8_epi32(_mm_loadu_si64(SOURCES[usize::from(bits)].as_ptr()));
                let numbers = _mm256_permutevar8x32_ps(_mm256_loadu_ps(all.as_ptr()), sources);
                _mm256_storeu_ps(packed.as_mut_ptr().add(now), numbers);
            }
            now += bits.count_ones() as usize;
        }
    }
    *count = now;
    32 * chunks.len()
}

/// See [`Pack::unpack`](super::Pack::unpack).
///
/// # Safety
/// `all` is aligned to 32 bytes if its vectors go past the caches.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn unpack_8<const PAST_CACHES: bool>(
    bits: &[u8],
    packed: &[f32; BLOCK],
    all: &mut [f32],
    count: &mut usize,
) -> usize {
    assert!(*count + all.len() <= BLOCK);
    let chunks = all.as_chunks_mut::<32>().0;
    let (done, mut now) = (32 * chunks.len(), *count);
    for (all, bits) in chunks.iter_mut().zip(bits.as_chunks::<4>().0) {
        for (all, &bits) in all.as_chunks_mut::<8>().0.iter_mut().zip(bits) {
            let places: __m256i;
            // SAFETY: 8 bytes and 8 numbers each; see above.
            unsafe {
                // What `_mm256_cvtepi8_epi32` is for. But the compiler sees that a shuffle does not look at signs, widens
                // once for it and once more for them, and is slower.
                asm!(
                    "vpmovsxbd {places}, qword ptr [{table}]",
                    places = out(ymm_reg) places,
                    table = in(reg) &raw const PLACES[usize::from(bits)],
                    options(pure, readonly, nostack, preserves_flags)
                );
                let numbers = _mm256_permutevar8x32_ps(_mm256_loadu_ps(packed.as_ptr().add(now)), places);
                let numbers = _mm256_blendv_ps(numbers, _mm256_setzero_ps(), _mm256_castsi256_ps(places));
                if PAST_CACHES {
                    _mm256_stream_ps(all.as_mut_ptr(), numbers);
                } else {
                    _mm256_storeu_ps(all.as_mut_ptr(), numbers);
                }
            }
            now += bits.count_ones() as usize;
        }
    }
    *count = now;
    done
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn pack_16(bits: &[u8], all: &[f32], packed: &mut [f32; BLOCK], count: &mut usize) -> usize {
    assert!(*count + all.len() <= BLOCK);
    let chunks = all.as_chunks::<16>().0;
    for (all, &bits) in chunks.iter().zip(bits.as_chunks().0) {
        let bits = u16::from_le_bytes(bits);
        // SAFETY: 16 numbers each; see above. Compressed in a register: straight to memory it is slow on some processors.
        unsafe {
            let numbers = _mm512_maskz_compress_ps(bits, _mm512_loadu_ps(all.as_ptr()));
            _mm512_storeu_ps(packed.as_mut_ptr().add(*count), numbers);
        }
        *count += bits.count_ones() as usize;
    }
    16 * chunks.len()
}

/// See [`Pack::unpack`](super::Pack::unpack).
///
/// # Safety
/// `all` is aligned to 64 bytes if its vectors go past the caches.
#[target_feature(enable = "avx512f,popcnt")]
pub(super) unsafe fn unpack_16<const PAST_CACHES: bool>(
    bits: &[u8],
    packed: &[f32; BLOCK],
    all: &mut [f32],
    count: &mut usize,
) -> usize {
    assert!(*count + all.len() <= BLOCK);
    let chunks = all.as_chunks_mut::<16>().0;
    let done = 16 * chunks.len();
    for (all, &bits) in chunks.iter_mut().zip(bits.as_chunks().0) {
        let bits = u16::from_le_bytes(bits);
        // SAFETY: 16 numbers each; see above.
        unsafe {
            let numbers = _mm512_maskz_expand_ps(bits, _mm512_loadu_ps(packed.as_ptr().add(*count)));
            if PAST_CACHES {
                _mm512_stream_ps(all.as_mut_ptr(), numbers);
            } else {
                _mm512_storeu_ps(all.as_mut_ptr(), numbers);
            }
        }
        *count += bits.count_ones() as usize;
    }
    done
}
