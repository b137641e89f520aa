//! Labels of which only the observed ones are stored.

use std::ops::Range;

use super::table::{Cells, Table};
use super::weights::Weights;
use crate::memory::Disjoint;
use crate::sizes::rows_of_blocks;
use crate::{Result, Threads};

/// Some rows of a table of checked labels that stores only observed entries, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a> {
    /// Where the entries of each of the table's rows start, then the end of the last row.
    pub starts: &'a [i64],
    /// Each entry's label, a number below `labels` that occurs only once in a row.
    pub columns: &'a [i32],
    /// Each entry's value.
    pub cells: Cells<'a>,
    /// How many labels there are.
    pub labels: usize,
    /// The indices of these rows in the table, within bounds; all of them if `None`.
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

    /// In how many rows each label is observed.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn observed_per_label(&self) -> Vec<i64> {
        let mut counts = vec![0; self.labels];
        for row in 0..self.rows() {
            self.columns[self.row(row)].iter().for_each(|&label| counts[label as usize] += 1);
        }
        counts
    }

    /// The sum of the weights of each row's entries.
    ///
    /// # Panics
    /// If there is not one weight for each row and label, or an index is out of bounds.
    pub fn weight_per_row(&self, weights: &Weights<'_>) -> Vec<f64> {
        self.check(weights);
        let of_row = |row: usize| {
            let of_entry = |entry: usize| {
                let of_label = weights.labels.map_or(1.0, |labels| labels[self.columns[entry] as usize]);
                of_label * weights.rows.map_or(1.0, |rows| rows[row]) * weights.of_entry(entry)
            };
            self.row(row).map(of_entry).fold(0.0, |total, weight| total + weight)
        };
        (0..self.rows()).map(of_row).collect()
    }

    /// # Panics
    /// If there is not one weight for each entry of the table, each row, and each label.
    pub(crate) fn check(&self, weights: &Weights<'_>) {
        let Weights { entries, rows, labels } = weights;
        assert!(entries.is_none_or(|entries| entries.len() == self.columns.len()), "one weight for each entry");
        assert!(rows.is_none_or(|rows| rows.len() == self.rows()), "one weight for each row");
        assert!(labels.is_none_or(|labels| labels.len() == self.labels), "one weight for each label");
    }
}

/// The observed entries of some rows of a [`Table`].
#[derive(Clone, Debug, Default)]
pub struct ObservedEntries {
    /// Where each row's entries start, then the end of the last row.
    pub starts: Vec<i64>,
    /// Each entry's label, ascending in a row.
    pub columns: Vec<i32>,
    /// Each entry's position among the table's cells.
    pub places: Vec<i64>,
}

impl Table<'_> {
    /// Finds the observed entries of these rows, each of which has as many labels as the table is wide.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads).
    ///
    /// # Panics
    /// If there is not one count for each row, a count differs from the number of the row's observed entries, the table
    /// has 2³¹ labels, or its parts do not fit each other.
    pub fn observed_entries(&self, threads: &dyn Threads, observed_per_row: &[i64]) -> Result<ObservedEntries> {
        self.entries(&Weights::default());
        assert_eq!(observed_per_row.len(), self.rows, "one count for each row");
        assert!(i32::try_from(self.width).is_ok(), "fewer than 2^31 labels");
        let mut end = 0;
        let ends = observed_per_row.iter().map(|count| {
            end += count;
            end
        });
        let starts: Vec<i64> = std::iter::once(0).chain(ends).collect();
        let count = end as usize;
        let (mut columns, mut places) = (vec![0; count], vec![0; count]);
        let outputs = (Disjoint::new(&mut columns), Disjoint::new(&mut places));
        threads.run(self.rows, rows_of_blocks(self.width), &|rows| {
            for row in rows {
                let (start, count) = (starts[row] as usize, observed_per_row[row] as usize);
                // SAFETY: both outlive this call, and each row is visited once.
                let (columns, places) = unsafe { (outputs.0.part(start, count), outputs.1.part(start, count)) };
                let found = self.observed_in(row, columns, places);
                assert_eq!(found, count, "the count of row {row}");
            }
        })?;
        Ok(ObservedEntries { starts, columns, places })
    }

    /// Returns how many entries of a row are observed, and writes as many of them as fit.
    fn observed_in(&self, row: usize, columns: &mut [i32], places: &mut [i64]) -> usize {
        let start = self.index.map_or(row, |index| index[row] as usize) * self.width;
        let cells = start..start + self.width;
        let mut found = 0;
        let mut take = |label: usize| {
            if let (Some(column), Some(place)) = (columns.get_mut(found), places.get_mut(found)) {
                (*column, *place) = (label as i32, (start + label) as i64);
            }
            found += 1;
        };
        match self.cells {
            Cells::Bytes(bytes) => {
                let (eights, rest) = bytes[cells].as_chunks::<8>();
                for (chunk, eight) in eights.iter().enumerate() {
                    // The sign of each cell; where all are missing there is nothing to do.
                    let mut observed = !u64::from_le_bytes(eight.map(|cell| cell as u8)) & 0x8080_8080_8080_8080;
                    while observed != 0 {
                        take(8 * chunk + observed.trailing_zeros() as usize / 8);
                        observed &= observed - 1;
                    }
                }
                let done = 8 * eights.len();
                rest.iter().enumerate().filter(|(_, cell)| **cell >= 0).for_each(|(label, _)| take(done + label));
            }
            Cells::F32(numbers) => {
                let observed = numbers[cells].iter().enumerate().filter(|(_, cell)| !cell.is_nan());
                observed.for_each(|(label, _)| take(label));
            }
            Cells::F64(numbers) => {
                let observed = numbers[cells].iter().enumerate().filter(|(_, cell)| !cell.is_nan());
                observed.for_each(|(label, _)| take(label));
            }
        }
        found
    }
}
