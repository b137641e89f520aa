/// Memory that threads write to, each in a part of its own.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<T> {
    start: *mut T,
    length: usize,
}

// SAFETY: the callers of `part` keep the parts apart.
unsafe impl<T: Send> Sync for Disjoint<T> {}

impl<T> Disjoint<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len() }
    }

    /// # Safety
    /// The memory is alive, and no two parts in use at a time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start.checked_add(length).is_some_and(|end| end <= self.length));
        // SAFETY: within bounds; the caller keeps the parts apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn bytes(&self) -> usize {
        self.length * size_of::<T>()
    }
}
