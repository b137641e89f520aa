//! The sizes of a pass's parts: entries are read in blocks, packed in groups, and computed in chunks.

/// The entries of the largest block, which is the unit of work of a thread and of partial sums.
pub(crate) const BLOCK: usize = 16384;

/// The packed entries of a chunk: a formula's loop computes these at a time.
pub(crate) const CHUNK: usize = 256;

/// The entries of a group: packing and unpacking take these at a time, with one bit of a word for each.
pub(crate) const GROUP: usize = 64;

/// The packed entries kept between packing and unpacking: few enough for the first-level cache.
pub(crate) const RING: usize = 4096;

/// The number of rows that are worth a thread.
pub(crate) fn rows_of_blocks(width: usize) -> usize {
    (4 * BLOCK).div_ceil(width.max(1))
}
