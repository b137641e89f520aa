//! Packing by AVX2, which shuffles 8 lanes by a table, and by AVX-512, which has instructions for it.

use std::arch::x86_64::*;

use super::BLOCK;

/// For each pattern of 8 bits: which lane each packed lane comes from.
static SOURCES: [[u8; 8]; 256] = tables().0;
/// For each pattern of 8 bits: which packed lane each lane comes from.
static PLACES: [[u8; 8]; 256] = tables().1;

const fn tables() -> ([[u8; 8]; 256], [[u8; 8]; 256]) {
    let (mut sources, mut places) = ([[0; 8]; 256], [[0; 8]; 256]);
    let mut bits = 0;
    while bits < 256 {
        let (mut lane, mut packed) = (0, 0);
        while lane < 8 {
            places[bits][lane as usize] = packed;
            if bits >> lane & 1 != 0 {
                sources[bits][packed as usize] = lane;
                packed += 1;
            }
            lane += 1;
        }
        bits += 1;
    }
    (sources, places)
}

// Each vector is written in full where its packed numbers begin. They are no more than the entries before it, so that all
// accesses lie within a block; an index that is checked would take as long as the packing.

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

#[target_feature(enable = "avx2")]
fn entry(table: &[[u8; 8]; 256], bits: u8) -> __m128i {
    // SAFETY: 8 bytes.
    unsafe { _mm_loadu_si64(table[usize::from(bits)].as_ptr()) }
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn pack_8_bytes(bits: &[u8], all: &[i8], packed: &mut [i8; BLOCK]) -> (usize, usize) {
    let chunks = &all.as_chunks::<8>().0[..(all.len() / 8).min(BLOCK / 8)];
    let mut count = 0;
    for (all, &bits) in chunks.iter().zip(bits) {
        // SAFETY: 8 bytes each; see above.
        unsafe {
            let numbers = _mm_shuffle_epi8(_mm_loadu_si64(all.as_ptr().cast()), entry(&SOURCES, bits));
            _mm_storeu_si64(packed.as_mut_ptr().add(count).cast(), numbers);
        }
        count += bits.count_ones() as usize;
    }
    (8 * chunks.len(), count)
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn pack_8(bits: &[u8], all: &[f32], packed: &mut [f32; BLOCK]) -> (usize, usize) {
    let chunks = &all.as_chunks::<8>().0[..(all.len() / 8).min(BLOCK / 8)];
    let mut count = 0;
    for (all, &bits) in chunks.iter().zip(bits) {
        let sources = _mm256_cvtepu8_epi32(entry(&SOURCES, bits));
        // SAFETY: 8 numbers each; see above.
        unsafe {
            let numbers = _mm256_permutevar8x32_ps(_mm256_loadu_ps(all.as_ptr()), sources);
            _mm256_storeu_ps(packed.as_mut_ptr().add(count), numbers);
        }
        count += bits.count_ones() as usize;
    }
    (8 * chunks.len(), count)
}

/// See [`Pack::unpack`](super::Pack::unpack).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn unpack_8(bits: &[u8], packed: &[f32; BLOCK], all: &mut [f32]) -> (usize, usize) {
    let vectors = (all.len() / 8).min(BLOCK / 8);
    let chunks = &mut all.as_chunks_mut::<8>().0[..vectors];
    let to_sign = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    let mut count = 0;
    for (all, &bits) in chunks.iter_mut().zip(bits) {
        let places = _mm256_cvtepu8_epi32(entry(&PLACES, bits));
        let counts = _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(bits.into()), to_sign));
        // SAFETY: 8 numbers each; see above.
        unsafe {
            let numbers = _mm256_permutevar8x32_ps(_mm256_loadu_ps(packed.as_ptr().add(count)), places);
            _mm256_storeu_ps(all.as_mut_ptr(), _mm256_blendv_ps(_mm256_setzero_ps(), numbers, counts));
        }
        count += bits.count_ones() as usize;
    }
    (8 * vectors, count)
}

/// See [`Pack::pack`](super::Pack::pack).
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn pack_16(bits: &[u8], all: &[f32], packed: &mut [f32; BLOCK]) -> (usize, usize) {
    let chunks = &all.as_chunks::<16>().0[..(all.len() / 16).min(BLOCK / 16)];
    let mut count = 0;
    for (all, &bits) in chunks.iter().zip(bits.as_chunks().0) {
        let bits = u16::from_le_bytes(bits);
        // SAFETY: 16 numbers each; see above. Compressed in a register: straight to memory it is slow on some processors.
        unsafe {
            let numbers = _mm512_maskz_compress_ps(bits, _mm512_loadu_ps(all.as_ptr()));
            _mm512_storeu_ps(packed.as_mut_ptr().add(count), numbers);
        }
        count += bits.count_ones() as usize;
    }
    (16 * chunks.len(), count)
}

/// See [`Pack::unpack`](super::Pack::unpack).
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn unpack_16(bits: &[u8], packed: &[f32; BLOCK], all: &mut [f32]) -> (usize, usize) {
    let vectors = (all.len() / 16).min(BLOCK / 16);
    let chunks = &mut all.as_chunks_mut::<16>().0[..vectors];
    let mut count = 0;
    for (all, &bits) in chunks.iter_mut().zip(bits.as_chunks().0) {
        let bits = u16::from_le_bytes(bits);
        // SAFETY: 16 numbers each; see above.
        unsafe {
            let numbers = _mm512_maskz_expand_ps(bits, _mm512_loadu_ps(packed.as_ptr().add(count)));
            _mm512_storeu_ps(all.as_mut_ptr(), numbers);
        }
        count += bits.count_ones() as usize;
    }
    (16 * vectors, count)
}
