//! Counts and weights of observed labels.

use std::ops::Range;
use std::sync::Mutex;

use super::table::{Cells, Table, one_for_each_label};
use super::weights::{Weights, WeightsOf};
use crate::memory::{Buffer, Disjoint, Rows, segments};
use crate::simd::loops::{Sum, Sums, total};
use crate::simd::{Job, Simd};
use crate::sizes::{BLOCK, rows_of_blocks};
use crate::threads::locked;
use crate::{Result, Threads};

/// Evaluates an expression with the rows in the cells' own type.
macro_rules! with_rows {
    ($table:expr, $rows:ident => $body:expr) => {
        match $table.cells {
            Cells::Bytes(cells) => {
                let $rows = $table.rows_of(cells);
                $body
            }
            Cells::F32(cells) => {
                let $rows = $table.rows_of(cells);
                $body
            }
            Cells::F64(cells) => {
                let $rows = $table.rows_of(cells);
                $body
            }
        }
    };
}

impl<'a> Table<'a> {
    /// Writes into `counts` how many entries of each row are observed.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If there is not one count for each row, or the table's parts do not fit each other.
    pub fn observed_per_row(&self, threads: &dyn Threads, counts: &mut [i64]) -> Result<()> {
        self.entries(&Weights::default());
        assert_eq!(counts.len(), self.rows, "one count for each row");
        counts.fill(0);
        let (output, simd) = (Disjoint::new(counts), Simd::chosen()?);
        with_rows!(self, rows => self.parallel(threads, |blocks| {
            let mut buffer = Buffer::new();
            for block in blocks {
                let cells = rows.read(block.start, block.len(), &mut buffer);
                for segment in segments(block.start, block.len(), self.width) {
                    let count = simd.run(Count(&cells[segment.at]));
                    // SAFETY: `counts` outlives this call, and each row is visited by one thread.
                    unsafe { output.part(segment.row, 1)[0] += count as i64 };
                }
            }
        }))
    }

    /// In how many rows each of `labels` labels is observed; labels are the last dimension.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If the entries are not a whole number of rows of that many labels, or the table's parts do not fit each other.
    pub fn observed_per_label(&self, threads: &dyn Threads, labels: usize) -> Result<Vec<i64>> {
        one_for_each_label(labels, self.entries(&Weights::default()));
        let (total, simd) = (Mutex::new(vec![0; labels]), Simd::chosen()?);
        if labels > 0 {
            with_rows!(self, rows => self.parallel(threads, |blocks| count_labels(simd, &rows, blocks, &total)))?;
        }
        Ok(std::mem::take(&mut *locked(&total)))
    }

    /// Writes into `totals` the sum of the weights of each row's observed entries, or of all its entries.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If there is not one total for each row, or the table's parts or the weights do not fit each other.
    pub fn weight_per_row(
        &self,
        threads: &dyn Threads,
        weights: &Weights<'a>,
        everything: bool,
        totals: &mut [f64],
    ) -> Result<()> {
        self.entries(weights);
        assert_eq!(totals.len(), self.rows, "one total for each row");
        totals.fill(0.0);
        let (output, simd) = (Disjoint::new(totals), Simd::chosen()?);
        let weights = &WeightsOf::<f64>::new(weights, self.width, self.index);
        with_rows!(self, rows => self.parallel(threads, |blocks| {
            let (mut buffer, mut chosen) = (Buffer::new(), Buffer::<f64>::new());
            let (mut weight_buffers, mut ones) = ([const { Buffer::new() }; 2], None);
            for block in blocks {
                let cells = rows.read(block.start, block.len(), &mut buffer);
                let weights = match weights.read(simd, block.start, block.len(), &mut weight_buffers) {
                    [] => &ones.get_or_insert_with(|| vec![1.0; BLOCK])[..block.len()],
                    weights => weights,
                };
                let chosen = &mut chosen.get()[..block.len()];
                simd.run(Choose { cells, weights, chosen, everything });
                for segment in segments(block.start, block.len(), self.width) {
                    let mut sums = Sums::default();
                    simd.run(Sum { values: &chosen[segment.at], sums: &mut sums });
                    // SAFETY: `totals` outlives this call, and each row is visited by one thread.
                    unsafe { output.part(segment.row, 1)[0] += total(sums) };
                }
            }
        }))
    }

    /// Calls `body` for blocks of whole rows, or of parts of one, on several threads.
    fn parallel(
        &self,
        threads: &dyn Threads,
        body: impl Fn(&mut dyn Iterator<Item = Range<usize>>) + Sync,
    ) -> Result<()> {
        let width = self.width;
        threads.run(self.rows, rows_of_blocks(width), &|rows| {
            let step = if width < BLOCK { BLOCK / width.max(1) * width } else { width };
            let ends = (rows.start * width, rows.end * width);
            body(&mut (ends.0..ends.1).step_by(step.max(1)).flat_map(|start| {
                let end = ends.1.min(start + step);
                (start..end).step_by(BLOCK).map(move |start| start..end.min(start + BLOCK))
            }));
        })
    }
}

/// Counts in `u16`, which is flushed into the total before it can overflow.
fn count_labels<T: Held>(
    simd: Simd,
    rows: &Rows<'_, T>,
    blocks: &mut dyn Iterator<Item = Range<usize>>,
    total: &Mutex<Vec<i64>>,
) {
    let labels = locked(total).len();
    let (mut buffer, mut counts) = (Buffer::new(), vec![0u16; labels]);
    let flush = |counts: &mut [u16]| {
        for (sum, count) in locked(total).iter_mut().zip(counts) {
            *sum += i64::from(std::mem::take(count));
        }
    };
    let mut most = 0;
    for block in blocks {
        // How often a label can occur in a block.
        let often = block.len() / labels + 2;
        if most + often > usize::from(u16::MAX) {
            flush(&mut counts);
            most = 0;
        }
        most += often;
        let cells = rows.read(block.start, block.len(), &mut buffer);
        for segment in segments(block.start, block.len(), labels) {
            let counts = &mut counts[segment.column..][..segment.at.len()];
            simd.run(AddObserved { cells: &cells[segment.at], counts });
        }
    }
    flush(&mut counts);
}

/// The sum of numbers, in an order that depends only on how many there are.
///
/// # Errors
/// [`Error::Environment`](crate::Error::Environment).
pub fn sum(numbers: &[f64]) -> Result<f64> {
    let mut sums = Sums::default();
    Simd::chosen()?.run(Sum { values: numbers, sums: &mut sums });
    Ok(total(sums))
}

/// A label as it is stored.
trait Held: Copy + Default + Send + Sync {
    fn is_observed(self) -> bool;
}

impl Held for i8 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        self >= 0
    }
}

impl Held for f32 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        !self.is_nan()
    }
}

impl Held for f64 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        !self.is_nan()
    }
}

struct Count<'a, T>(&'a [T]);

impl<T: Held> Job for Count<'_, T> {
    type Output = usize;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> usize {
        self.0.iter().map(|cell| u32::from(cell.is_observed())).sum::<u32>() as usize
    }
}

struct AddObserved<'a, T> {
    cells: &'a [T],
    counts: &'a mut [u16],
}

impl<T: Held> Job for AddObserved<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (count, cell) in self.counts.iter_mut().zip(self.cells) {
            *count += u16::from(cell.is_observed());
        }
    }
}

/// Each entry's weight, 0 where it does not count.
struct Choose<'a, T> {
    cells: &'a [T],
    weights: &'a [f64],
    chosen: &'a mut [f64],
    everything: bool,
}

impl<T: Held> Job for Choose<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((chosen, cell), &weight) in self.chosen.iter_mut().zip(self.cells).zip(self.weights) {
            *chosen = if cell.is_observed() | self.everything { weight } else { 0.0 };
        }
    }
}
