//! Labels of which the observed ones alone are stored.

use std::ops::Range;

use super::table::Cells;

/// Some rows of a table of checked labels that holds its observed entries alone, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a> {
    /// Where the entries of each row of the table start, and where those of the last one end.
    pub starts: &'a [i64],
    /// Each entry's label, a number below `labels`, no number twice in a row.
    pub columns: &'a [i32],
    /// Each entry's value.
    pub cells: Cells<'a>,
    /// How many labels there are.
    pub labels: usize,
    /// Which rows of the table they are, within bounds; all of them if `None`.
    pub index: Option<&'a [i64]>,
}

impl Sparse<'_> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.index.map_or_else(|| self.starts.len().saturating_sub(1), <[i64]>::len)
    }

    /// Where a row's entries are.
    ///
    /// # Panics
    /// If the row is out of bounds.
    pub fn row(&self, row: usize) -> Range<usize> {
        let row = self.index.map_or(row, |index| index[row] as usize);
        self.starts[row] as usize..self.starts[row + 1] as usize
    }
}
