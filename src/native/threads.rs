use std::any::Any;
use std::ffi::{c_char, c_void};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use masked_loss_core::{Error, Result, Threads};

unsafe extern "C" {
    fn masked_loss_parallel(
        count: i64,
        grain: i64,
        body: extern "C" fn(*mut c_void, i64, i64),
        context: *mut c_void,
    ) -> *mut c_char;
}

/// libtorch's threads.
pub(crate) struct TorchThreads;

struct Context<'a> {
    body: &'a (dyn Fn(Range<usize>) + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

extern "C" fn call(context: *mut c_void, begin: i64, end: i64) {
    // SAFETY: `run` passes its own context, which lives until all calls are done.
    let context = unsafe { &*context.cast::<Context<'_>>() };
    // A panic (of a user's formula) must not cross C++.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (context.body)(begin as usize..end as usize))) {
        *context.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
    }
}

// SAFETY: `at::parallel_for` divides the range into parts that do not overlap.
unsafe impl Threads for TorchThreads {
    fn run(&self, count: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) -> Result<()> {
        let mut context = Context { body, panic: Mutex::new(None) };
        // SAFETY: `context` is what `run` passed to `call`, and is read only until this returns.
        let error = unsafe { masked_loss_parallel(count as i64, grain as i64, call, (&raw mut context).cast()) };
        if let Some(reason) = super::taken(error) {
            return Err(Error::Threads(reason));
        }
        match context.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(panic) => resume_unwind(panic),
            None => Ok(()),
        }
    }
}
