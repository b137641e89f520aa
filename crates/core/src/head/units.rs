//! How the work is cut up.

use std::ops::Range;

use crate::sizes::CHUNK;

/// How many entries are computed at once: their weights stay in the cache until they are read again.
pub(super) fn piece_length<F>(width: usize) -> usize {
    const BYTES: usize = 1 << 17;
    (BYTES / (width * size_of::<F>()).max(1)).clamp(16, CHUNK)
}

/// What threads share out: rows, or labels, one after another, that together have about as many entries as a piece. `starts`:
/// where the entries of each of them start, and where those of the last one end.
pub(super) fn units(starts: &[usize], piece: usize) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut first = 0;
    for end in 1..starts.len() {
        // Those without entries take time too.
        if starts[end] - starts[first] >= piece || end - first >= 4 * piece || end + 1 == starts.len() {
            units.push(first..end);
            first = end;
        }
    }
    units
}
