//! How a label and its missingness lie in memory.

use super::cache::Buffer;
use super::loops::Each;
use super::pack::{Pack, Selection};
use super::simd::Simd;

/// One label: a byte, or a floating point number.
pub(crate) trait Cell<F>: Pack + Send + Sync {
    /// Which of a block's labels are observed, and those side by side, filled up as [`Selection::packed`] says.
    fn observed<'a>(simd: Simd, cells: &'a [Self], room: &'a mut Room<F>) -> (Selection, &'a [F]);
}

/// Room for a block's labels.
pub(crate) struct Room<F> {
    bytes: Buffer<i8>,
    labels: Buffer<F>,
}

impl<F> Room<F> {
    pub(super) const fn new() -> Self {
        Self { bytes: Buffer::new(), labels: Buffer::new() }
    }
}

macro_rules! cells {
    ($($number:ident)*) => {$(
        /// 0, 1, or −1 where missing.
        impl Cell<$number> for i8 {
            fn observed<'a>(simd: Simd, cells: &'a [Self], room: &'a mut Room<$number>) -> (Selection, &'a [$number]) {
                let (selection, packed) = Selection::of_cells(simd, cells, &mut room.bytes);
                let labels = &mut room.labels.get()[..packed.len()];
                simd.run(Each { from: packed, to: &mut *labels, with: |label: i8| $number::from(label) });
                (selection, labels)
            }
        }

        /// NaN where missing.
        impl Cell<$number> for $number {
            fn observed<'a>(simd: Simd, cells: &'a [Self], room: &'a mut Room<$number>) -> (Selection, &'a [$number]) {
                let flags = &mut room.bytes.get()[..cells.len()];
                simd.run(Each { from: cells, to: &mut *flags, with: |label: $number| -i8::from(label.is_nan()) });
                let selection = Selection::of(simd, flags);
                let labels = selection.packed(simd, cells, &mut room.labels, || ());
                (selection, labels)
            }
        }
    )*};
}
cells!(f32 f64);
