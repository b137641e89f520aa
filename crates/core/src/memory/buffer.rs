use crate::sizes::BLOCK;

/// Memory for numbers, those of a block unless `N` says otherwise; allocated when first used, in whole cache lines: a vector
/// that lies across two takes longer.
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
