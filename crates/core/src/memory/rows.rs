//! A matrix, or some of its rows, read a block at a time.

use std::any::TypeId;
use std::ops::Range;

use super::buffer::Buffer;

/// Rows of a matrix in memory. Entries are numbered row by row, as if the rows that `index` picks were contiguous: a
/// batch is read from its table, and never copied as a whole.
pub(crate) struct Rows<'a, T> {
    all: &'a [T],
    width: usize,
    /// All rows in their order if `None`.
    index: Option<&'a [i64]>,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of `width` entries each. `index` is within bounds.
    pub(crate) fn new(all: &'a [T], width: usize, index: Option<&'a [i64]>) -> Self {
        Self { all, width, index }
    }

    /// The entries of one row from `column` on.
    fn row(&self, row: usize, column: usize, length: usize) -> &'a [T] {
        let row = self.index.map_or(row, |index| index[row] as usize);
        &self.all[row * self.width + column..][..length]
    }

    /// The block's entries in segments that are contiguous, each with its place in the block.
    pub(crate) fn segments(&self, start: usize, length: usize) -> impl Iterator<Item = (Range<usize>, &'a [T])> {
        // Without an index, the whole matrix is one row.
        let width = if self.index.is_some() { self.width } else { self.all.len() };
        segments(start, length, width).map(|segment| {
            let Segment { row, column, at } = segment;
            let length = at.len();
            (at, self.row(row, column, length))
        })
    }

    /// The address of an entry, for a prefetch; any address for an entry past the end.
    pub(crate) fn address(&self, entry: usize) -> *const T {
        let entry = match self.index {
            None => entry,
            Some(index) => {
                let (row, column) = (entry / self.width.max(1), entry % self.width.max(1));
                index.get(row).map_or(0, |&row| row as usize * self.width + column)
            }
        };
        self.all.as_ptr().wrapping_add(entry)
    }
}

impl<'a, T: 'static> Rows<'a, T> {
    /// The same rows, if `T` is this type.
    pub(crate) fn of_type<U: 'static>(&self) -> Option<Rows<'a, U>> {
        let Self { all, width, index } = *self;
        // SAFETY: one type under two names.
        (TypeId::of::<T>() == TypeId::of::<U>()).then(|| Rows {
            all: unsafe { &*(&raw const *all as *const [U]) },
            width,
            index,
        })
    }
}

impl<'a, T: Copy + Default> Rows<'a, T> {
    /// A block's entries, in place or copied into `buffer`.
    pub(crate) fn read<'b>(&self, start: usize, length: usize, buffer: &'b mut Buffer<T>) -> &'b [T]
    where
        'a: 'b,
    {
        if self.index.is_none() {
            return &self.all[start..][..length];
        }
        let block = &mut buffer.get()[..length];
        for (at, segment) in self.segments(start, length) {
            block[at].copy_from_slice(segment);
        }
        block
    }
}

/// Consecutive entries of one row, and their position in the block.
pub(crate) struct Segment {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) at: Range<usize>,
}

/// Segments of `length` entries from `start` on, in a matrix with rows of `width` entries.
pub(crate) fn segments(start: usize, length: usize, width: usize) -> impl Iterator<Item = Segment> {
    let (mut row, mut column) = (start.checked_div(width).unwrap_or(0), start.checked_rem(width).unwrap_or(0));
    let mut done = 0;
    std::iter::from_fn(move || {
        let now = (width - column).min(length - done);
        if now == 0 {
            return None;
        }
        let segment = Segment { row, column, at: done..done + now };
        (row, column, done) = (row + 1, 0, done + now);
        Some(segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_some_rows_is_a_part_of_them_one_after_another() {
        let table: Vec<i32> = (0..35).collect();
        for (width, index) in [(5, vec![6, 0, 0, 3]), (1, vec![34, 2, 2]), (35, vec![0, 0]), (7, vec![])] {
            let chosen: Vec<i32> =
                index.iter().flat_map(|&row| table[row as usize * width..][..width].to_vec()).collect();
            let (some, all) = (Rows::new(&table, width, Some(&index)), Rows::new(&table, width, None));
            for start in 0..=chosen.len() {
                for end in start..=chosen.len() {
                    let (mut one, mut other) = (Buffer::new(), Buffer::new());
                    assert_eq!(some.read(start, end - start, &mut one), &chosen[start..end]);
                    let end = end.min(table.len());
                    let start = start.min(end);
                    assert_eq!(all.read(start, end - start, &mut other), &table[start..end]);
                }
                if start < chosen.len() {
                    // SAFETY: the entry exists.
                    assert_eq!(unsafe { *some.address(start) }, chosen[start]);
                }
            }
        }
    }
}
