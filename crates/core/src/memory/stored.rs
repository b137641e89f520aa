use super::buffer::Buffer;
use super::half::{Bf16, F16, Half};
use super::rows::Rows;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::Map;

/// A type in which numbers may be stored.
pub trait Stored: Copy + Default + Send + Sync + 'static {
    /// The same number.
    fn to_f64(self) -> f64;
}

macro_rules! stored {
    ($($type:ty: $to_f64:expr),*) => {$(
        impl Stored for $type {
            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }
        }
    )*};
}
stored!(
    f64: |number| number,
    f32: f64::from,
    i64: |number| number as f64,
    i8: f64::from,
    u8: f64::from,
    F16: |half: F16| f64::from(half.widen()),
    Bf16: |half: Bf16| f64::from(half.widen())
);

/// A block's numbers, in place or converted into `buffer`.
pub(crate) fn read<'b, S: Stored, F: Float>(
    simd: Simd,
    rows: &Rows<'b, S>,
    start: usize,
    length: usize,
    buffer: &'b mut Buffer<F>,
) -> &'b [F] {
    if let Some(rows) = rows.of_type::<F>() {
        return rows.read(start, length, buffer);
    }
    let block = &mut buffer.get()[..length];
    for (at, from) in rows.segments(start, length) {
        // Compiles to one conversion.
        simd.run(Map { from, to: &mut block[at], with: |number: S| F::from_f64(number.to_f64()) });
    }
    block
}
