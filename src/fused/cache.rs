//! The caches: buffers that stay in them, and prefetches.

use super::BLOCK;
use super::pack::GROUP;
use super::targets::Lines;

/// What is read and written later, of this block or the next, asked for a little at a time: there is too much arithmetic in
/// between for the processor to look so far by itself, and what is more than it can have under way is forgotten.
pub(super) struct Ahead<X, F> {
    input: *const [X; GROUP],
    labels: [Lines; 2],
    /// Null where it need not be there.
    gradient: *const [F; GROUP],
}

/// Asks for what another group needs.
pub(super) trait Ask {
    fn ask(&mut self);
}

impl Ask for () {
    fn ask(&mut self) {}
}

impl<X, F> Ahead<X, F> {
    /// Entries by which what is asked for is ahead of what is packed and put back. Labels are read a whole block at a time.
    const DISTANCE: usize = 1024;

    /// For a block whose input begins there, and behind which these labels come; nothing for no gradient.
    pub(super) fn of(input: *const X, labels: [Lines; 2], gradient: &[F]) -> Self {
        let gradient =
            if gradient.is_empty() { std::ptr::null() } else { gradient.as_ptr().wrapping_add(Self::DISTANCE) };
        Self { input: input.wrapping_add(Self::DISTANCE).cast(), labels, gradient: gradient.cast() }
    }
}

impl<X, F> Ask for Ahead<X, F> {
    #[inline(always)]
    fn ask(&mut self) {
        self.input = prefetch(self.input);
        for Lines { next, bytes } in &mut self.labels {
            for line in (0..*bytes).step_by(64) {
                prefetch_line::<false>(next.wrapping_add(line));
            }
            *next = next.wrapping_add(*bytes);
        }
        if !self.gradient.is_null() {
            self.gradient = prefetch(self.gradient);
        }
    }
}

/// Asks for what lies there, and says what lies behind it.
#[inline(always)]
fn prefetch<T>(next: *const T) -> *const T {
    for line in (0..size_of::<T>()).step_by(64) {
        prefetch_line::<true>(next.wrapping_byte_add(line).cast());
    }
    next.wrapping_add(1)
}

/// Into the first level of the caches or, what is needed later, into the second.
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

/// Lets other threads see what was written past the caches.
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Room for numbers, those of a block unless told otherwise, made when first asked for, in whole cache lines: a vector that
/// lies across two takes longer.
pub(crate) struct Buffer<T, const N: usize = BLOCK>(Option<Box<Aligned<T, N>>>);

#[repr(align(64))]
struct Aligned<T, const N: usize>([T; N]);

impl<T, const N: usize> Buffer<T, N> {
    pub(super) const fn new() -> Self {
        Self(None)
    }
}

impl<T: Copy + Default, const N: usize> Buffer<T, N> {
    pub(super) fn get(&mut self) -> &mut [T; N] {
        &mut self.0.get_or_insert_with(|| Box::new(Aligned([T::default(); N]))).0
    }
}
