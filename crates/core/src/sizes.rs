//! How a pass is cut up. Entries are computed in blocks, packed in groups, and put into formulas in chunks.

/// Entries of the largest block: what a thread works on at a time, and what partial sums are taken over.
pub(crate) const BLOCK: usize = 16384;

/// Packed entries that a formula is computed for at a time.
pub(crate) const CHUNK: usize = 256;

/// Entries that are packed or unpacked at a time: one bit of a word for each.
pub(crate) const GROUP: usize = 64;

/// Packed entries that are kept between packing and unpacking: few enough for the first-level cache.
pub(crate) const RING: usize = 4096;

/// Rows that are worth a thread.
pub(crate) fn rows_of_blocks(width: usize) -> usize {
    (4 * BLOCK).div_ceil(width.max(1))
}
