//! Checks raw labels and converts them into the form in which they are stored, in one pass.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::raw::{FINITE, Raw, RawLabels, with_source};
use super::raw_label::{RawLabel, Seen};
use super::source::Source;
use crate::memory::{Buffer, Disjoint, segments};
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::sizes::{BLOCK, rows_of_blocks};
use crate::threads::locked;
use crate::{Result, Threads};

/// Memory for labels, see [`Cells`](crate::Cells).
#[derive(Debug)]
pub enum CellsMut<'a> {
    /// For labels that are all 0 or 1.
    Bytes(&'a mut [i8]),
    /// For any label of a type that `f32` holds.
    F32(&'a mut [f32]),
    /// For any label.
    F64(&'a mut [f64]),
}

/// The smallest and the largest observed label; `None` if none is observed.
pub type Range = Option<(f64, f64)>;

/// The result of [`Raw::encode`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoded {
    /// The cells and counts are complete.
    Complete(Range),
    /// Bytes cannot hold the labels: one of them is neither 0 nor 1, and may also be invalid.
    Soft,
    /// A label is not finite, or the mask holds a value other than 0 and 1.
    Faulty,
}

impl Raw<'_> {
    /// Writes the labels of `counts.len()` rows into `cells`, and the number of each row's observed ones into `counts`.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If labels, mask and cells differ in length, if their length is not a multiple of the number of rows, or if `f32`
    /// cannot hold the labels' type.
    pub fn encode(&self, threads: &dyn Threads, cells: CellsMut<'_>, counts: &mut [i64]) -> Result<Encoded> {
        with_source!(self, &FINITE, source => {
            assert!(!matches!(cells, CellsMut::F32(_)) || self.labels.fit_f32(), "cells that hold the labels");
            let encoding = Encoding { source: &source, counts: Disjoint::new(counts), threads };
            match cells {
                CellsMut::Bytes(cells) => encoding.bytes(cells),
                CellsMut::F32(cells) => encoding.numbers(cells),
                CellsMut::F64(cells) => encoding.numbers(cells),
            }
        })
    }
}

struct Encoding<'a, L> {
    source: &'a Source<'a, L>,
    counts: Disjoint<i64>,
    threads: &'a dyn Threads,
}

impl<L: RawLabel> Encoding<'_, L> {
    fn bytes(&self, cells: &mut [i8]) -> Result<Encoded> {
        assert_eq!(cells.len(), self.source.len(), "one cell for each label");
        let (output, all_seen) = (Disjoint::new(cells), AtomicU8::new(0));
        self.run(|simd, start, mask| {
            // SAFETY: `cells` outlives this call, and each entry is visited once.
            let cells = unsafe { output.part(start, mask.len()) };
            let seen = self.source.cells(simd, start, mask, cells);
            !Seen(all_seen.fetch_or(seen.0, Ordering::Relaxed) | seen.0).soft()
        })?;
        let seen = Seen(all_seen.into_inner());
        Ok(match (seen.zero(), seen.one()) {
            // This comes first: which faults were seen before a pass ended early depends on the threads.
            _ if seen.soft() => Encoded::Soft,
            _ if self.source.at_fault() => Encoded::Faulty,
            (false, false) => Encoded::Complete(None),
            (zero, one) => Encoded::Complete(Some((f64::from(u8::from(!zero)), f64::from(u8::from(one))))),
        })
    }

    fn numbers<N: Float>(&self, numbers: &mut [N]) -> Result<Encoded> {
        assert_eq!(numbers.len(), self.source.len(), "one cell for each label");
        let (output, range) = (Disjoint::new(numbers), Mutex::new((f64::INFINITY, f64::NEG_INFINITY)));
        self.run(|simd, start, mask| {
            // SAFETY: as above.
            let numbers = unsafe { output.part(start, mask.len()) };
            let (least, largest) = self.source.numbers(simd, start, mask, numbers);
            let mut range = locked(&range);
            *range = (range.0.min(least.to_f64()), range.1.max(largest.to_f64()));
            !self.source.at_fault()
        })?;
        let (least, largest) = *locked(&range);
        Ok(match self.source.at_fault() {
            true => Encoded::Faulty,
            false => Encoded::Complete((least <= largest).then_some((least, largest))),
        })
    }

    /// Visits all entries in blocks, each with its mask, and counts each row's observed entries. A visit that returns
    /// false ends the pass.
    fn run(&self, visit: impl Fn(Simd, usize, &[u8]) -> bool + Sync) -> Result<()> {
        let (simd, rows) = (Simd::chosen()?, self.counts.len());
        let width = self.source.len().checked_div(rows).unwrap_or(0);
        assert_eq!(width * rows, self.source.len(), "rows of the same length");
        self.threads.run(rows, rows_of_blocks(width), &|rows| {
            // SAFETY: `counts` outlives this call, and each row is visited once.
            let counts = unsafe { self.counts.part(rows.start, rows.len()) };
            counts.fill(0);
            let mut buffer = Buffer::new();
            for start in (rows.start * width..rows.end * width).step_by(BLOCK) {
                let length = BLOCK.min(rows.end * width - start);
                let mask = self.source.observed(simd, start, length, &mut buffer);
                for segment in segments(start, length, width) {
                    counts[segment.row - rows.start] += self.source.sum(simd, &mask[segment.at]) as i64;
                }
                if !visit(simd, start, mask) {
                    break;
                }
            }
        })
    }
}

impl RawLabels<'_> {
    /// Whether `f32` can hold every label of this type.
    pub fn fit_f32(&self) -> bool {
        matches!(self, Self::F32(_) | Self::I8(_) | Self::U8(_))
    }
}
