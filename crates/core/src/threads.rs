use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Result;

/// A source of threads.
///
/// # Safety
/// The ranges of all calls that [`run`](Self::run) makes lie within `0..count`, and no two of them overlap.
pub unsafe trait Threads: Sync {
    /// Calls `body` for ranges that together cover `0..count`, each except the last at least `grain` long. Returns when
    /// all calls have returned.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads) if some of `0..count` may not have been covered.
    fn run(&self, count: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) -> Result<()>;
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

// SAFETY: one call.
unsafe impl Threads for Serial {
    fn run(&self, count: usize, _: usize, body: &(dyn Fn(Range<usize>) + Sync)) -> Result<()> {
        if count > 0 {
            body(0..count);
        }
        Ok(())
    }
}

/// The content of a mutex, which is complete even if a thread panicked.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
