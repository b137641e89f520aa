//! Tensors as slices.

use tch::{Kind, Tensor};

use super::cache::Buffer;
use super::half::{Bf16, F16, Half};
use super::kernel::Number;
use super::loops::Each;
use super::pack::Pack;
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
elements!(i8: Int8, f32: Float, f64: Double, F16: Half, Bf16: BFloat16);

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
}

impl<T> Output<T> {
    pub(super) fn bytes(&self) -> usize {
        self.length * size_of::<T>()
    }
}

impl<T: Element> Output<T> {
    /// The elements of a contiguous CPU tensor of `T` that nobody else reads or writes for now.
    pub(super) fn of(tensor: &mut Tensor) -> Result<Self> {
        let length = slice::<T>(tensor)?.len();
        Ok(Self { start: tensor.data_ptr().cast(), length })
    }
}

/// How logits lie in memory, and the numbers to compute with.
pub(super) trait Storage: Element {
    type Number: Number + Pack + Element + tch::kind::Element;

    /// The numbers, either where they lie or converted into `room`.
    fn read<'a>(simd: Simd, stored: &'a [Self], room: &'a mut Buffer<Self::Number>) -> &'a [Self::Number];
}

macro_rules! storage_in_place {
    ($($type:ty),*) => {$(
        impl Storage for $type {
            type Number = Self;
            fn read<'a>(_: Simd, stored: &'a [Self], _: &'a mut Buffer<Self>) -> &'a [Self] {
                stored
            }
        }
    )*};
}
storage_in_place!(f32, f64);

impl<H: Half + Element> Storage for H {
    type Number = f32;
    fn read<'a>(simd: Simd, stored: &'a [Self], room: &'a mut Buffer<f32>) -> &'a [f32] {
        let room = &mut room.get()[..stored.len()];
        simd.run(Each { from: stored, to: &mut *room, with: H::widen });
        room
    }
}
