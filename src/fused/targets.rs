//! A block's labels, and which of its entries are observed.

use super::cache::Buffer;
use super::float::Float;
use super::loops::Each;
use super::memory::{Stored, read};
use super::pack::{GROUP, Pack, Selection};
use super::rows::Rows;
use super::simd::Simd;

/// Labels that a pass reads a block at a time.
pub(super) trait Targets<F>: Sync {
    /// Which of a block's entries are observed, and their labels.
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut Buffers<F>,
    ) -> (&'a Selection, Label<'a, F>);

    /// Where the labels from an entry on lie, with the bytes of a [`GROUP`]: for prefetches.
    fn ahead(&self, entry: usize) -> [Lines; 2];
}

/// Memory that is read in order: where, and how many bytes a group of entries takes.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) next: *const u8,
    pub(super) bytes: usize,
}

impl Lines {
    pub(super) const NONE: Self = Self { next: std::ptr::null(), bytes: 0 };

    pub(super) fn of<T>(next: *const T) -> Self {
        Self { next: next.cast(), bytes: size_of::<T>() * GROUP }
    }
}

/// Labels of the entries that count, filled up as [`Selection::packed`] says.
#[derive(Clone, Copy)]
pub(super) enum Label<'a, F> {
    Bytes(&'a [i8]),
    Numbers(&'a [F]),
    Same(F),
}

/// Memory for one block's labels.
pub(super) struct Buffers<F> {
    pub(super) selection: Selection,
    pub(super) mask: Buffer<u8>,
    pub(super) cells: Buffer<i8>,
    pub(super) bytes: Buffer<i8>,
    pub(super) numbers: Buffer<F>,
    pub(super) packed: Buffer<F>,
}

impl<F> Buffers<F> {
    pub(super) const fn new() -> Self {
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
        buffers: &'a mut Buffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let Buffers { selection, cells, bytes, .. } = buffers;
        let bytes = bytes.get();
        selection.set(simd, self.read(start, length, cells), bytes);
        (selection, Label::Bytes(bytes))
    }

    fn ahead(&self, entry: usize) -> [Lines; 2] {
        [Lines::of(self.address(entry)), Lines::NONE]
    }
}

/// Numbers, NaN where missing.
pub(super) struct Numbers<'a, S>(pub(super) Rows<'a, S>);

impl<S: Stored, F: Float + Pack> Targets<F> for Numbers<'_, S> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut Buffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let Buffers { selection, cells, bytes, numbers, packed, .. } = buffers;
        let numbers = read(simd, &self.0, start, length, numbers);
        let cells = &mut cells.get()[..length];
        simd.run(Each { from: numbers, to: &mut *cells, with: |label: F| -i8::from(label.is_nan()) });
        selection.set(simd, cells, bytes.get());
        (selection, Label::Numbers(selection.packed(simd, numbers, packed)))
    }

    fn ahead(&self, entry: usize) -> [Lines; 2] {
        [Lines::of(self.0.address(entry)), Lines::NONE]
    }
}
