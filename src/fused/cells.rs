//! How a label and its missingness lie in memory.

use super::cache::Buffer;
use super::float::Float;
use super::loops::Each;
use super::pack::Selection;
use super::simd::Simd;

/// One label: a byte, or a floating point number.
pub(crate) trait Cell<F>: Copy + Send + Sync {
    /// Which of a block's labels are observed, and those side by side.
    fn observed<'a>(simd: Simd, cells: &'a [Self], room: &'a mut Room<F>) -> (&'a Selection, Label<'a, F>);
}

/// Labels of the entries that count, filled up as [`Selection::packed`] says.
#[derive(Clone, Copy)]
pub(crate) enum Label<'a, F> {
    Bytes(&'a [i8]),
    Numbers(&'a [F]),
    Same(F),
}

/// Room for a block's labels.
pub(crate) struct Room<F> {
    selection: Selection,
    flags: Buffer<i8>,
    bytes: Buffer<i8>,
    labels: Buffer<F>,
}

impl<F> Room<F> {
    pub(super) const fn new() -> Self {
        Self { selection: Selection::none(), flags: Buffer::new(), bytes: Buffer::new(), labels: Buffer::new() }
    }
}

/// 0, 1, or −1 where missing.
impl<F: Float> Cell<F> for i8 {
    fn observed<'a>(simd: Simd, cells: &'a [Self], room: &'a mut Room<F>) -> (&'a Selection, Label<'a, F>) {
        let (selection, bytes) = (&mut room.selection, room.bytes.get());
        selection.set(simd, cells, bytes);
        (selection, Label::Bytes(bytes))
    }
}

macro_rules! cells {
    ($($number:ident)*) => {$(
        /// NaN where missing.
        impl Cell<$number> for $number {
            fn observed<'a>(
                simd: Simd,
                cells: &'a [Self],
                room: &'a mut Room<$number>,
            ) -> (&'a Selection, Label<'a, $number>) {
                let Room { selection, flags, bytes, labels } = room;
                let flags = &mut flags.get()[..cells.len()];
                simd.run(Each { from: cells, to: &mut *flags, with: |label: $number| -i8::from(label.is_nan()) });
                selection.set(simd, flags, bytes.get());
                let labels = selection.packed(simd, cells, labels);
                (selection, Label::Numbers(labels))
            }
        }
    )*};
}
cells!(f32 f64);
