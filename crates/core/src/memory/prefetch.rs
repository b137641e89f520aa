//! Software prefetches.

use crate::sizes::GROUP;

/// Memory that is read in order: the next address, and the bytes of a group of entries.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    next: *const u8,
    bytes: usize,
}

impl Lines {
    pub(crate) const NONE: Self = Self { next: std::ptr::null(), bytes: 0 };

    pub(crate) fn of<T>(next: *const T) -> Self {
        Self { next: next.cast(), bytes: size_of::<T>() * GROUP }
    }
}

/// Prefetches what later groups of this block or the next read and write. The hardware prefetcher does not look far
/// enough ahead across the arithmetic, and drops some of too many prefetches at once.
pub(crate) struct Prefetcher<X, F> {
    input: *const [X; GROUP],
    labels: [Lines; 2],
    /// Null if the gradient is not prefetched.
    gradient: *const [F; GROUP],
}

/// Prefetches for one more group.
pub(crate) trait Prefetch {
    fn prefetch(&mut self);
}

/// Prefetches nothing.
impl Prefetch for () {
    fn prefetch(&mut self) {}
}

impl<X, F> Prefetcher<X, F> {
    /// Entries between the prefetched group and the packed one. Labels are read a whole block at a time.
    const DISTANCE: usize = 1024;

    /// For a block whose input begins at `input`. `labels` are the next block's; `gradient` may be empty.
    pub(crate) fn new(input: *const X, labels: [Lines; 2], gradient: &[F]) -> Self {
        let gradient =
            if gradient.is_empty() { std::ptr::null() } else { gradient.as_ptr().wrapping_add(Self::DISTANCE) };
        Self { input: input.wrapping_add(Self::DISTANCE).cast(), labels, gradient: gradient.cast() }
    }
}

impl<X, F> Prefetch for Prefetcher<X, F> {
    #[inline(always)]
    fn prefetch(&mut self) {
        self.input = prefetch_group(self.input);
        for Lines { next, bytes } in &mut self.labels {
            for line in (0..*bytes).step_by(64) {
                prefetch_line::<false>(next.wrapping_add(line));
            }
            *next = next.wrapping_add(*bytes);
        }
        if !self.gradient.is_null() {
            self.gradient = prefetch_group(self.gradient);
        }
    }
}

/// Prefetches a group, and returns the address of the next one.
#[inline(always)]
fn prefetch_group<T>(next: *const T) -> *const T {
    for line in (0..size_of::<T>()).step_by(64) {
        prefetch_line::<true>(next.wrapping_byte_add(line).cast());
    }
    next.wrapping_add(1)
}

/// Prefetches into the first-level cache, or into the second for later use.
#[inline(always)]
fn prefetch_line<const SOON: bool>(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint; no address makes it fault.
        unsafe {
            if SOON {
                _mm_prefetch::<_MM_HINT_T0>(line.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(line.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Makes non-temporal stores visible to other threads.
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has this instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
