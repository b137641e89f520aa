//! Tensors as slices.

use tch::{Kind, Tensor};

use super::float::Float;
use super::half::{Bf16, F16, Half, narrow, widen};

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
pub(super) fn slice<T: Element>(tensor: &Tensor) -> &[T] {
    assert!(tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == tch::Device::Cpu);
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: `numel` elements of `T` lie there, and live as long as the tensor.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<T>(), tensor.numel()) }
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

impl<T: Element> Output<T> {
    /// The elements of a contiguous CPU tensor of `T` that nobody else reads or writes for now.
    pub(super) fn of(tensor: &mut Tensor) -> Self {
        let length = slice::<T>(tensor).len();
        Self { start: tensor.data_ptr().cast(), length }
    }
}

/// How logits and their gradient lie in memory, and the numbers to compute with.
pub(super) trait Storage: Element {
    type Number: Float + Element;

    /// The numbers, either where they lie or converted into `buffer`.
    fn read<'a>(stored: &'a [Self], buffer: &'a mut [Self::Number]) -> &'a [Self::Number];

    /// Lets `fill` write numbers, either where they are to lie or into `buffer`, from where they are converted.
    fn write(stored: &mut [Self], buffer: &mut [Self::Number], fill: impl FnOnce(&mut [Self::Number]) -> f64) -> f64;
}

macro_rules! storage_in_place {
    ($($type:ty),*) => {$(
        impl Storage for $type {
            type Number = Self;
            fn read<'a>(stored: &'a [Self], _: &'a mut [Self]) -> &'a [Self] {
                stored
            }
            fn write(stored: &mut [Self], _: &mut [Self], fill: impl FnOnce(&mut [Self]) -> f64) -> f64 {
                fill(stored)
            }
        }
    )*};
}
storage_in_place!(f32, f64);

impl<H: Half + Element> Storage for H {
    type Number = f32;
    fn read<'a>(stored: &'a [Self], buffer: &'a mut [f32]) -> &'a [f32] {
        let buffer = &mut buffer[..stored.len()];
        widen(stored, buffer);
        buffer
    }
    fn write(stored: &mut [Self], buffer: &mut [f32], fill: impl FnOnce(&mut [f32]) -> f64) -> f64 {
        let buffer = &mut buffer[..stored.len()];
        let sum = fill(buffer);
        narrow(buffer, stored);
        sum
    }
}
