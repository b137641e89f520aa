//! A block's labels, and which of its entries are observed.

use crate::memory::{Buffer, Lines, Rows, Stored, read};
use crate::pack::Selection;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::Map;

/// Labels that a pass reads a block at a time.
pub(crate) trait Targets<F>: Sync {
    /// Which of a block's entries are observed, and their labels.
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut LabelBuffers<F>,
    ) -> (&'a Selection, Label<'a, F>);

    /// The addresses of the labels from an entry on, for prefetches.
    fn lines(&self, entry: usize) -> [Lines; 2];
}

/// Labels of the entries that count, padded as in [`Selection::packed`].
#[derive(Clone, Copy)]
pub(crate) enum Label<'a, F> {
    Bytes(&'a [i8]),
    Numbers(&'a [F]),
    Same(F),
}

/// Memory for one block's labels.
pub(crate) struct LabelBuffers<F> {
    pub(crate) selection: Selection,
    pub(crate) mask: Buffer<u8>,
    pub(crate) cells: Buffer<i8>,
    pub(crate) bytes: Buffer<i8>,
    pub(crate) numbers: Buffer<F>,
    pub(crate) packed: Buffer<F>,
}

impl<F> LabelBuffers<F> {
    pub(crate) const fn new() -> Self {
        Self {
            selection: Selection::none(),
            mask: Buffer::new(),
            cells: Buffer::new(),
            bytes: Buffer::new(),
            numbers: Buffer::new(),
            packed: Buffer::new(),
        }
    }
}

/// 0, 1, or −1 where missing.
impl<F: Float> Targets<F> for Rows<'_, i8> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut LabelBuffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let LabelBuffers { selection, cells, bytes, .. } = buffers;
        let bytes = bytes.get();
        selection.set(simd, self.read(start, length, cells), bytes);
        (selection, Label::Bytes(bytes))
    }

    fn lines(&self, entry: usize) -> [Lines; 2] {
        [Lines::of(self.address(entry)), Lines::NONE]
    }
}

/// Numbers, NaN where missing.
pub(crate) struct Numbers<'a, S>(pub(crate) Rows<'a, S>);

impl<S: Stored, F: Scalar> Targets<F> for Numbers<'_, S> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut LabelBuffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let LabelBuffers { selection, cells, bytes, numbers, packed, .. } = buffers;
        let numbers = read(simd, &self.0, start, length, numbers);
        let cells = &mut cells.get()[..length];
        simd.run(Map { from: numbers, to: &mut *cells, with: |label: F| -i8::from(label.is_nan()) });
        selection.set(simd, cells, bytes.get());
        (selection, Label::Numbers(selection.packed(simd, numbers, packed)))
    }

    fn lines(&self, entry: usize) -> [Lines; 2] {
        [Lines::of(self.0.address(entry)), Lines::NONE]
    }
}
