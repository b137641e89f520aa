//! The few lines of C++ behind the fused path, see `csrc/autograd.cpp`.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::{Error, Result};

unsafe extern "C" {
    fn masked_loss_attach(value: *mut C_tensor, input: *const C_tensor, gradient: *const C_tensor) -> *mut c_char;
    fn masked_loss_records(input: *const C_tensor) -> bool;
    fn masked_loss_parallel(
        count: i64,
        grain: i64,
        body: extern "C" fn(*mut c_void, i64, i64),
        context: *mut c_void,
    ) -> *mut c_char;
    fn masked_loss_buffer(like: *const C_tensor, error: *mut *mut c_char) -> *mut C_tensor;
    fn masked_loss_release_buffers();
    fn masked_loss_strided(tensor: *const C_tensor) -> bool;
    fn free(pointer: *mut c_void);
}

/// Whether a result of `input` is to be recorded for backward.
pub(super) fn records(input: &Tensor) -> bool {
    // SAFETY: reads a live tensor.
    unsafe { masked_loss_records(input.as_ptr()) }
}

/// Whether a defined tensor lies in memory by strides.
pub(crate) fn is_strided(tensor: &Tensor) -> bool {
    // SAFETY: reads a live tensor.
    unsafe { masked_loss_strided(tensor.as_ptr()) }
}

/// An uninitialised tensor of the size of `like`, which is contiguous, and of its kind, or `f32` for half precision; a
/// large one from those that this thread keeps.
pub(super) fn buffer_like(like: &Tensor) -> Result<Tensor> {
    let mut error = std::ptr::null_mut();
    // SAFETY: reads a live tensor; a new one comes back, ours, or null and an error.
    let buffer = unsafe { masked_loss_buffer(like.as_ptr(), &raw mut error) };
    check(error)?;
    // SAFETY: not null, since there was no error.
    Ok(unsafe { Tensor::from_ptr(buffer) })
}

/// Frees the buffers that the fused path keeps for this thread: up to two gradients of 1 MiB or more, kept because a
/// fresh one costs more in page faults than its computation. Tensors in use are not touched.
pub fn release_buffers() {
    // SAFETY: drops references that only this thread's list holds.
    unsafe { masked_loss_release_buffers() }
}

/// Makes `value` depend on `input` with the given gradient.
pub(super) fn attach(value: &mut Tensor, input: &Tensor, gradient: &Tensor) -> Result<()> {
    // SAFETY: three live tensors; the node shares `gradient`'s storage by reference count.
    check(unsafe { masked_loss_attach(value.as_mut_ptr(), input.as_ptr(), gradient.as_ptr()) })
}

/// Calls `body` for ranges that cover `0..count`, on libtorch's threads.
pub(super) fn parallel(count: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) -> Result<()> {
    struct Context<B> {
        body: B,
        panic: Mutex<Option<Box<dyn Any + Send>>>,
    }
    extern "C" fn call<B: Fn(Range<usize>) + Sync>(context: *mut c_void, begin: i64, end: i64) {
        // SAFETY: `parallel` passes its own context, which lives until all calls are done.
        let context = unsafe { &*context.cast::<Context<B>>() };
        // A panic (of a user's formula) must not cross C++.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (context.body)(begin as usize..end as usize))) {
            *context.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(panic);
        }
    }
    fn entry_point<B: Fn(Range<usize>) + Sync>(_: &Context<B>) -> extern "C" fn(*mut c_void, i64, i64) {
        call::<B>
    }
    let mut context = Context { body, panic: Mutex::new(None) };
    let call = entry_point(&context);
    // SAFETY: `call` reads the context as what it is, and only until this returns.
    check(unsafe { masked_loss_parallel(count as i64, grain as i64, call, (&raw mut context).cast()) })?;
    match context.panic.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some(panic) => resume_unwind(panic),
        None => Ok(()),
    }
}

fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: not null, so an error's text from `strdup`, ours to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    unsafe { free(message.cast()) };
    Err(Error::Torch(TchError::Torch(text)))
}
