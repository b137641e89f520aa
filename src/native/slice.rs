use masked_loss_core::{Bf16, F16};
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// An element type and its name in libtorch.
///
/// # Safety
/// Tensors of `KIND` hold `Self`, any bit pattern of which is valid.
pub(crate) unsafe trait Element: Copy {
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
elements!(i8: Int8, u8: Uint8, i32: Int, i64: Int64, f32: Float, f64: Double, F16: Half, Bf16: BFloat16);

/// The elements of a contiguous CPU tensor of `T`.
///
/// # Errors
/// [`Error::Fused`] for a tensor without elements in memory, such as libtorch's implicit zeros.
pub(crate) fn slice<T: Element>(tensor: &Tensor) -> Result<&[T]> {
    Ok(match start(tensor)? {
        None => &[],
        // SAFETY: `start` points to `numel` elements of `T`, which live as long as the tensor.
        Some(start) => unsafe { std::slice::from_raw_parts(start, tensor.numel()) },
    })
}

/// The same for writing. Nothing else may read or write the elements in the meantime.
pub(crate) fn slice_mut<T: Element>(tensor: &mut Tensor) -> Result<&mut [T]> {
    Ok(match start(tensor)? {
        None => &mut [],
        // SAFETY: as above.
        Some(start) => unsafe { std::slice::from_raw_parts_mut(start, tensor.numel()) },
    })
}

/// The address of the elements; `None` if there are none.
fn start<T: Element>(tensor: &Tensor) -> Result<Option<*mut T>> {
    assert!(tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == Device::Cpu);
    if tensor.numel() == 0 {
        return Ok(None);
    }
    let start = tensor.data_ptr().cast::<T>();
    if start.is_null() {
        return Err(Error::Fused("needs tensors that lie in memory".into()));
    }
    Ok(Some(start))
}
