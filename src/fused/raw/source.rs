//! Raw labels as slices, a block at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::BLOCK;
use super::super::cache::Buffer;
use super::super::float::Float;
use super::super::loops::{Each, SumBits};
use super::super::memory::read;
use super::super::native;
use super::super::pack::{Pack, Selection};
use super::super::rows::Rows;
use super::super::simd::Simd;
use super::super::targets::{Buffers, Label, Lines, Targets};
use super::labels::{Cells, Decode, Given, Seen, Within};
use crate::Result;

/// Raw labels, to be read by several threads.
pub(in super::super) struct RawSlices<'a, L> {
    labels: &'a [L],
    known: Known<'a, L>,
    /// What an observed label may be.
    accepted: (f64, f64),
    /// Whether a block was read in which a label or the mask holds something that it may not.
    at_fault: AtomicBool,
}

/// Which labels are observed.
pub(super) enum Known<'a, L> {
    All,
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
    Numbers,
    AllBut(L),
}

impl<'a, L: Given> RawSlices<'a, L> {
    pub(super) fn new(labels: &'a [L], known: Known<'a, L>, accepted: (f64, f64)) -> Self {
        Self { labels, known, accepted, at_fault: AtomicBool::new(false) }
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    pub(in super::super) fn at_fault(&self) -> bool {
        self.at_fault.load(Ordering::Relaxed)
    }

    fn fault(&self) {
        self.at_fault.store(true, Ordering::Relaxed);
    }

    /// How many labels are observed.
    pub(super) fn count(&self) -> Result<usize> {
        if let Known::All = self.known {
            return Ok(self.len());
        }
        let (simd, count) = (Simd::best(), AtomicUsize::new(0));
        // Of fewer blocks, one thread is done before another starts.
        native::parallel(self.len().div_ceil(BLOCK), 4, |blocks| {
            let mut buffer = Buffer::new();
            for block in blocks {
                let start = block * BLOCK;
                let mask = self.mask(simd, start, BLOCK.min(self.len() - start), &mut buffer);
                count.fetch_add(self.sum(simd, mask), Ordering::Relaxed);
            }
        })?;
        Ok(count.into_inner())
    }

    /// 1 for each label of a block that is observed, 0 for each that is missing; not checked.
    pub(in super::super) fn mask<'b>(
        &'b self,
        simd: Simd,
        start: usize,
        length: usize,
        buffer: &'b mut Buffer<u8>,
    ) -> &'b [u8] {
        if let Known::Bytes(mask) = self.known {
            return &mask[start..][..length];
        }
        let to = &mut buffer.get()[..length];
        let from = &self.labels[start..][..length];
        match self.known {
            Known::All | Known::Bytes(_) => to.fill(1),
            // What is neither 0 nor 1 becomes 2.
            Known::Floats(mask) => {
                let from = &mask[start..][..length];
                simd.run(Each { from, to: &mut *to, with: |known: f32| (known.kind() >> 1) as u8 });
            }
            Known::Numbers => simd.run(Each { from, to: &mut *to, with: |label: L| u8::from(!label.is_nan()) }),
            Known::AllBut(sentinel) => {
                simd.run(Each { from, to: &mut *to, with: |label: L| u8::from(label != sentinel) });
            }
        }
        to
    }

    /// How many labels a part of a mask says are observed; a fault if there is anything but 0 and 1 in it.
    pub(in super::super) fn sum(&self, simd: Simd, mask: &[u8]) -> usize {
        // Of a narrow row the loop takes less than its preparation.
        let sum = if mask.len() < 64 { SumBits(mask).of_few() } else { simd.run(SumBits(mask)) };
        sum.unwrap_or_else(|| {
            self.fault();
            0
        })
    }

    /// A block's labels as one-byte cells, −1 where missing.
    pub(in super::super) fn cells(&self, simd: Simd, start: usize, mask: &[u8], cells: &mut [i8]) -> Seen {
        simd.run(Cells { labels: &self.labels[start..][..mask.len()], mask, cells })
    }

    /// A block's labels as numbers, NaN where missing; the least and the largest observed one.
    pub(in super::super) fn numbers(
        &self,
        simd: Simd,
        start: usize,
        mask: &[u8],
        numbers: &mut [L::Number],
    ) -> (L::Number, L::Number) {
        let (labels, everything) = (&self.labels[start..][..mask.len()], (f64::MIN, f64::MAX));
        if !simd.run(Within { labels, mask, accepted: everything }) {
            self.fault();
        }
        simd.run(Decode { labels, mask, numbers })
    }
}

impl<L: Given, F: Float + Pack> Targets<F> for RawSlices<'_, L> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut Buffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let Buffers { selection, mask, cells, bytes, numbers, packed } = buffers;
        let mask = self.mask(simd, start, length, mask);
        let (cells, bytes) = (&mut cells.get()[..length], bytes.get());
        let seen = self.cells(simd, start, mask, cells);
        if let Known::Bytes(_) | Known::Floats(_) = self.known {
            self.sum(simd, mask);
        }
        selection.set(simd, cells, bytes);
        if !seen.soft {
            return (selection, Label::Bytes(bytes));
        }
        let labels = &self.labels[start..][..length];
        if !simd.run(Within { labels, mask, accepted: self.accepted }) {
            self.fault();
        }
        let numbers = read(simd, &Rows::new(self.labels, 0, None), start, length, numbers);
        (selection, Label::Numbers(selection.packed(simd, numbers, packed)))
    }

    fn ahead(&self, entry: usize) -> [Lines; 2] {
        let mask = match self.known {
            Known::Bytes(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            Known::Floats(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            _ => Lines::NONE,
        };
        [Lines::of(self.labels.as_ptr().wrapping_add(entry)), mask]
    }
}
