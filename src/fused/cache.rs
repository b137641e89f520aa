//! What lies in the caches when: room to compute in, and memory asked for ahead of its use.

use super::BLOCK;

/// Where elements lie, and the bytes of one.
type Place = (*const u8, usize);

/// Where those behind `elements` lie; nowhere behind none.
pub(super) fn behind<T>(elements: &[T]) -> Option<Place> {
    (!elements.is_empty()).then(|| (elements.as_ptr_range().end.cast(), size_of::<T>()))
}

/// What the next block reads and writes, asked for while this one is computed, a little at a time: a block is too much
/// arithmetic for the processor to look past its end by itself, and all at once is more than it can have under way.
pub(super) struct Ahead {
    places: [Option<Place>; 3],
    entries: usize,
    asked: usize,
    /// Entries for each time that is asked.
    share: usize,
}

/// Bytes that come together.
const LINE: usize = 64;

impl Ahead {
    /// So many entries fill whole cache lines, whatever their type.
    const STEP: usize = 64;

    /// Of the arrays of that many entries that begin there; none of none.
    pub(super) fn of(places: [Option<Place>; 3], entries: usize) -> Self {
        Self { places, entries, asked: 0, share: entries }
    }

    /// How many more times will be asked.
    pub(super) fn spread_over(&mut self, times: usize) {
        self.share = (self.entries - self.asked).div_ceil(times.max(1)).next_multiple_of(Self::STEP);
    }

    #[inline(always)]
    pub(super) fn ask(&mut self) {
        let end = self.entries.min(self.asked + self.share);
        for &(start, size) in self.places.iter().flatten() {
            for line in self.asked * size / LINE..end * size / LINE {
                prefetch(start.wrapping_add(line * LINE));
            }
        }
        self.asked = end;
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; no address makes it fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Lets other threads see what was written past the caches.
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Room for a block's numbers, made when first asked for, in whole cache lines: a vector that lies across two takes longer.
pub(crate) struct Buffer<T>(Option<Box<Lines<T>>>);

#[repr(align(64))]
struct Lines<T>([T; BLOCK]);

impl<T> Buffer<T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }
}

impl<T: Copy + Default> Buffer<T> {
    pub(super) fn get(&mut self) -> &mut [T; BLOCK] {
        &mut self.0.get_or_insert_with(|| Box::new(Lines([T::default(); BLOCK]))).0
    }
}
