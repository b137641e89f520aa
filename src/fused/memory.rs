//! Tensors as slices.

use tch::{Kind, Tensor};

use super::cache::Buffer;
use super::float::Float;
use super::half::{Bf16, F16, Half};
use super::kernel::Number;
use super::loops::Each;
use super::pack::Pack;
use super::rows::Rows;
use super::simd::Simd;
use crate::{Error, Result};

/// An element type and its name in libtorch.
///
/// # Safety
/// Tensors of `KIND` hold `Self`, any bit pattern of which is valid.
pub(super) unsafe trait Element: Copy + Send + Sync + 'static {
    const KIND: Kind;
}

macro_rules! elements {
    ($($type:ty: $kind:ident),*) => {$(
        // SAFETY: the same layout, and plain numbers.
        unsafe impl Element for $type {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}
elements!(i8: Int8, u8: Uint8, i64: Int64, f32: Float, f64: Double, F16: Half, Bf16: BFloat16);

/// The elements of a contiguous CPU tensor of `T`.
///
/// # Errors
/// For a tensor that has none in memory, such as libtorch's implicit zeros.
pub(super) fn slice<T: Element>(tensor: &Tensor) -> Result<&[T]> {
    assert!(tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == tch::Device::Cpu);
    if tensor.numel() == 0 {
        return Ok(&[]);
    }
    let start = tensor.data_ptr().cast::<T>();
    if start.is_null() {
        return Err(Error::Fused("needs tensors that lie in memory".into()));
    }
    // SAFETY: `numel` elements of `T` lie there, and live as long as the tensor.
    Ok(unsafe { std::slice::from_raw_parts(start, tensor.numel()) })
}

/// A place that threads write to, each in a part of its own.
#[derive(Clone, Copy)]
pub(super) struct Output<T> {
    start: *mut T,
    length: usize,
}

// SAFETY: `part` leaves it to its callers to keep the parts apart.
unsafe impl<T: Send> Sync for Output<T> {}

impl<T> Output<T> {
    pub(super) fn new(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len() }
    }

    /// # Safety
    /// What this was made of is alive, and no two parts in use at a time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start + length <= self.length);
        // SAFETY: within bounds; the caller keeps parts apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.length * size_of::<T>()
    }
}

impl<T: Element> Output<T> {
    /// The elements of a contiguous CPU tensor of `T` that nobody else reads or writes while this is in use.
    pub(super) fn of(tensor: &mut Tensor) -> Result<Self> {
        let length = slice::<T>(tensor)?.len();
        Ok(Self { start: tensor.data_ptr().cast(), length })
    }
}

/// How numbers lie in memory that are computed with in another type.
pub(super) trait Stored: Element {
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

/// A block's numbers, where they lie or converted into `buffer`.
pub(super) fn read<'b, S: Stored, F: Float>(
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
    for (at, from) in rows.pieces(start, length) {
        // What the compiler makes of it is one conversion.
        simd.run(Each { from, to: &mut block[at], with: |number: S| F::from_f64(number.to_f64()) });
    }
    block
}

/// How logits lie in memory, and the numbers to compute with.
pub(super) trait Storage: Stored {
    type Number: Number + Pack + Element + tch::kind::Element;
}

impl Storage for f32 {
    type Number = f32;
}
impl Storage for f64 {
    type Number = f64;
}
impl Storage for F16 {
    type Number = f32;
}
impl Storage for Bf16 {
    type Number = f32;
}
