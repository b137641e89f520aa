//! Functions that `tch` does not offer: the C++ in `autograd.cpp`, and tensors as slices.

mod slice;
mod threads;

use std::ffi::{CStr, c_char, c_void};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

pub(crate) use self::slice::{Element, slice, slice_mut};
pub(crate) use self::threads::TorchThreads;
use crate::{Error, Result};

unsafe extern "C" {
    fn masked_loss_attach(
        value: *mut C_tensor,
        inputs: *const *const C_tensor,
        gradients: *const *const C_tensor,
        count: usize,
    ) -> *mut c_char;
    fn masked_loss_records(input: *const C_tensor) -> bool;
    fn masked_loss_buffer(like: *const C_tensor, error: *mut *mut c_char) -> *mut C_tensor;
    fn masked_loss_release_buffers();
    fn masked_loss_strided(tensor: *const C_tensor) -> bool;
    fn free(pointer: *mut c_void);
}

/// Whether autograd records operations on `input`.
pub(crate) fn records(input: &Tensor) -> bool {
    // SAFETY: reads a live tensor.
    unsafe { masked_loss_records(input.as_ptr()) }
}

/// Whether a defined tensor is strided: neither sparse nor in a library's own layout.
pub(crate) fn is_strided(tensor: &Tensor) -> bool {
    // SAFETY: reads a live tensor.
    unsafe { masked_loss_strided(tensor.as_ptr()) }
}

/// An uninitialised tensor with the size and kind of `like`, which is contiguous; `f32` for half precision. Large
/// buffers are reused from a list that each thread keeps.
pub(crate) fn buffer_like(like: &Tensor) -> Result<Tensor> {
    let mut error = std::ptr::null_mut();
    // SAFETY: reads a live tensor; returns a new one, which we own, or null and an error.
    let buffer = unsafe { masked_loss_buffer(like.as_ptr(), &raw mut error) };
    check(error)?;
    // SAFETY: not null, since there was no error.
    Ok(unsafe { Tensor::from_ptr(buffer) })
}

/// Frees the buffers that the fused backend keeps for this thread: up to two gradients of 1 MiB or more, because page
/// faults in fresh memory cost more than the computation. Tensors in use are not touched.
pub fn release_buffers() {
    // SAFETY: drops references that only this thread's list holds.
    unsafe { masked_loss_release_buffers() }
}

/// Makes `value` depend on inputs with the given gradients. With several inputs, `value` has one element.
pub(crate) fn attach<const N: usize>(value: &mut Tensor, inputs: [(&Tensor, Option<&Tensor>); N]) -> Result<()> {
    let gradients = inputs.map(|(_, gradient)| gradient.map_or(std::ptr::null(), |gradient| gradient.as_ptr()));
    let inputs = inputs.map(|(input, _)| input.as_ptr());
    // SAFETY: live tensors, as many inputs as gradients; the node shares their storage by reference count.
    check(unsafe { masked_loss_attach(value.as_mut_ptr(), inputs.as_ptr(), gradients.as_ptr(), N) })
}

fn check(message: *mut c_char) -> Result<()> {
    match taken(message) {
        None => Ok(()),
        Some(text) => Err(Error::Torch(TchError::Torch(text))),
    }
}

/// Copies the text of an error from C++ and frees it; `None` if there is no error.
fn taken(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: not null, so an error's text from `strdup`, ours to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    unsafe { free(message.cast()) };
    Some(text)
}
