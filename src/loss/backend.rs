/// Which implementation computes a loss. Both read the same formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// [`Fused`](Self::Fused) where the input allows it, else [`Composed`](Self::Composed).
    #[default]
    Auto,
    /// A graph of libtorch operations: any device, differentiable any number of times.
    Composed,
    /// One pass over memory for value and gradient: CPU only, differentiable once.
    Fused,
}
