//! Raw labels of one type, read a block at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::raw_label::{RawLabel, Seen, ToCells, ToNumbers, Within};
use super::targets::{Label, LabelBuffers, Targets};
use crate::memory::{Buffer, Lines, Rows, read};
use crate::pack::Selection;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::{Map, SumBits};
use crate::sizes::BLOCK;
use crate::{Result, Threads};

/// Raw labels, to be read by several threads.
pub(crate) struct Source<'a, L> {
    labels: &'a [L],
    mask: Mask<'a, L>,
    /// The range of observed labels.
    accepted: (f64, f64),
    /// Whether a block held an invalid label, or a mask value other than 0 and 1.
    at_fault: AtomicBool,
}

/// Which labels are observed, like `Observed`.
pub(crate) enum Mask<'a, L> {
    All,
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
    NotNan,
    Not(L),
}

impl<'a, L: RawLabel> Source<'a, L> {
    pub(crate) fn new(labels: &'a [L], mask: Mask<'a, L>, accepted: (f64, f64)) -> Self {
        Self { labels, mask, accepted, at_fault: AtomicBool::new(false) }
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn at_fault(&self) -> bool {
        self.at_fault.load(Ordering::Relaxed)
    }

    fn fault(&self) {
        self.at_fault.store(true, Ordering::Relaxed);
    }

    /// How many labels are observed.
    pub(crate) fn count(&self, threads: &dyn Threads) -> Result<usize> {
        if let Mask::All = self.mask {
            return Ok(self.len());
        }
        let (simd, count) = (Simd::chosen()?, AtomicUsize::new(0));
        // With fewer blocks, one thread is done before another starts.
        threads.run(self.len().div_ceil(BLOCK), 4, &|blocks| {
            let mut buffer = Buffer::new();
            for block in blocks {
                let start = block * BLOCK;
                let mask = self.observed(simd, start, BLOCK.min(self.len() - start), &mut buffer);
                count.fetch_add(self.sum(simd, mask), Ordering::Relaxed);
            }
        })?;
        Ok(count.into_inner())
    }

    /// 1 for each label of a block that is observed, 0 for each that is missing; not checked.
    pub(crate) fn observed<'b>(
        &'b self,
        simd: Simd,
        start: usize,
        length: usize,
        buffer: &'b mut Buffer<u8>,
    ) -> &'b [u8] {
        if let Mask::Bytes(mask) = self.mask {
            return &mask[start..][..length];
        }
        let to = &mut buffer.get()[..length];
        let from = &self.labels[start..][..length];
        match self.mask {
            Mask::All | Mask::Bytes(_) => to.fill(1),
            // Any number other than 0 and 1 becomes 2.
            Mask::Floats(mask) => {
                let from = &mask[start..][..length];
                simd.run(Map { from, to: &mut *to, with: |known: f32| (known.kind() >> 1) as u8 });
            }
            Mask::NotNan => simd.run(Map { from, to: &mut *to, with: |label: L| u8::from(!label.is_nan()) }),
            Mask::Not(sentinel) => {
                simd.run(Map { from, to: &mut *to, with: |label: L| u8::from(label != sentinel) });
            }
        }
        to
    }

    /// How many labels a part of a mask marks as observed; reports a fault for any value other than 0 and 1.
    pub(crate) fn sum(&self, simd: Simd, mask: &[u8]) -> usize {
        // For a narrow row the loop takes less time than its preparation.
        let sum = if mask.len() < 64 { SumBits(mask).of_few() } else { simd.run(SumBits(mask)) };
        sum.unwrap_or_else(|| {
            self.fault();
            0
        })
    }

    /// A block's labels as one-byte cells, −1 where missing.
    pub(crate) fn cells(&self, simd: Simd, start: usize, mask: &[u8], cells: &mut [i8]) -> Seen {
        simd.run(ToCells { labels: &self.labels[start..][..mask.len()], mask, cells })
    }

    /// A block's labels as numbers, NaN where missing; the least and the largest observed one.
    pub(crate) fn numbers<N: Float>(&self, simd: Simd, start: usize, mask: &[u8], numbers: &mut [N]) -> (N, N) {
        let (labels, everything) = (&self.labels[start..][..mask.len()], (f64::MIN, f64::MAX));
        if !simd.run(Within { labels, mask, accepted: everything }) {
            self.fault();
        }
        simd.run(ToNumbers { labels, mask, numbers })
    }
}

impl<L: RawLabel, F: Scalar> Targets<F> for Source<'_, L> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut LabelBuffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let LabelBuffers { selection, mask, cells, bytes, numbers, packed } = buffers;
        let mask = self.observed(simd, start, length, mask);
        let (cells, bytes) = (&mut cells.get()[..length], bytes.get());
        let seen = self.cells(simd, start, mask, cells);
        if let Mask::Bytes(_) | Mask::Floats(_) = self.mask {
            self.sum(simd, mask);
        }
        selection.set(simd, cells, bytes);
        if !seen.soft() {
            return (selection, Label::Bytes(bytes));
        }
        let labels = &self.labels[start..][..length];
        if !simd.run(Within { labels, mask, accepted: self.accepted }) {
            self.fault();
        }
        let numbers = read(simd, &Rows::new(self.labels, 0, None), start, length, numbers);
        (selection, Label::Numbers(selection.packed(simd, numbers, packed)))
    }

    fn lines(&self, entry: usize) -> [Lines; 2] {
        let mask = match self.mask {
            Mask::Bytes(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            Mask::Floats(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            _ => Lines::NONE,
        };
        [Lines::of(self.labels.as_ptr().wrapping_add(entry)), mask]
    }
}
