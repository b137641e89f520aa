//! How the work is divided.

use std::ops::Range;

use crate::sizes::CHUNK;

/// The number of entries that are computed at once: few enough that their weights stay in the cache until they are read
/// again.
pub(super) fn piece_length<F>(width: usize) -> usize {
    const BYTES: usize = 1 << 17;
    (BYTES / (width * size_of::<F>()).max(1)).clamp(16, CHUNK)
}

/// The units that threads share: consecutive rows (or labels) that together have about as many entries as a piece.
/// `starts` holds where each row's entries start, then the end of the last row.
pub(super) fn units(starts: &[usize], piece: usize) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut first = 0;
    for end in 1..starts.len() {
        // Rows without entries take time too.
        if starts[end] - starts[first] >= piece || end - first >= 4 * piece || end + 1 == starts.len() {
            units.push(first..end);
            first = end;
        }
    }
    units
}
