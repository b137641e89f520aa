//! Labels that have already been checked.

use super::weights::Weights;
use crate::memory::Rows;

/// Some rows of a table of checked labels.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The whole table, row by row.
    pub cells: Cells<'a>,
    /// How many rows these labels have: the length of the index, if there is one.
    pub rows: usize,
    /// Entries to a row.
    pub width: usize,
    /// The indices of these rows in the table, within bounds; all of them if `None`.
    pub index: Option<&'a [i64]>,
}

/// The stored form of labels.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// 0, 1, or −1 where missing; any other value is taken as a label.
    Bytes(&'a [i8]),
    /// NaN where missing.
    F32(&'a [f32]),
    /// NaN where missing.
    F64(&'a [f64]),
}

impl Cells<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(cells) => cells.len(),
            Self::F32(cells) => cells.len(),
            Self::F64(cells) => cells.len(),
        }
    }
}

impl<'a> Table<'a> {
    /// How many entries these labels have.
    ///
    /// # Panics
    /// If the table's parts, or the weights, do not fit each other: see their fields.
    pub(crate) fn entries(&self, weights: &Weights<'_>) -> usize {
        let (rows, width, cells) = (self.rows, self.width, self.cells.len());
        let entries = rows.checked_mul(width).expect("a number of entries that memory can hold");
        match self.index {
            None => assert_eq!(cells, entries, "one cell for each entry"),
            Some(index) => {
                let all = cells.checked_div(width).unwrap_or(0);
                assert_eq!(index.len(), rows, "one index for each row");
                assert_eq!(cells, all * width, "rows of the same length");
                let within = |&row: &i64| width == 0 || usize::try_from(row).is_ok_and(|row| row < all);
                assert!(index.iter().all(within), "an index within the table's {all} rows");
            }
        }
        if let Some(entries) = weights.entries {
            assert_eq!(entries.len(), cells, "one weight for each cell");
        }
        if let Some(weights) = weights.rows {
            assert_eq!(weights.len(), rows, "one weight for each row");
        }
        if let Some(labels) = weights.labels {
            one_for_each_label(labels.len(), self.labels_at_most());
        }
        entries
    }

    /// A multiple of the number of labels: the width, or the number of rows if there is one dimension, where rows and
    /// labels are the same.
    pub(crate) fn labels_at_most(&self) -> usize {
        if self.width == 1 { self.rows } else { self.width }
    }

    pub(crate) fn rows_of<T>(&self, cells: &'a [T]) -> Rows<'a, T> {
        Rows::new(cells, self.width, self.index)
    }
}

/// # Panics
/// If `width` is not a multiple of `numbers`.
pub(crate) fn one_for_each_label(numbers: usize, width: usize) {
    assert!(width == 0 || width.checked_rem(numbers) == Some(0), "one number for each label");
}
