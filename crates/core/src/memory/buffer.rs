use crate::sizes::BLOCK;

/// Memory for the numbers of a block, or for `N` numbers. Allocated on first use, and aligned to cache lines, because a
/// vector that crosses two lines takes longer.
pub(crate) struct Buffer<T, const N: usize = BLOCK>(Option<Box<Aligned<T, N>>>);

#[repr(align(64))]
struct Aligned<T, const N: usize>([T; N]);

impl<T, const N: usize> Buffer<T, N> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }
}

impl<T: Copy + Default, const N: usize> Buffer<T, N> {
    pub(crate) fn get(&mut self) -> &mut [T; N] {
        &mut self.0.get_or_insert_with(|| Box::new(Aligned([T::default(); N]))).0
    }
}
