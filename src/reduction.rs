/// How the entries' losses `ℓ` are reduced to one value. `m` is 1 where an entry counts: where it is observed, or
/// everywhere for a loss [`with_missing`](crate::Loss::with_missing) entries.
///
/// The weights of [`Labels`](crate::Labels) multiply the entries' losses. They are part of `ℓ`, and of no denominator but that of
/// [`WeightedMean`](Self::WeightedMean). A denominator of 0 has a sum of 0 above it; the result is then 0.
///
/// A published learning rate goes with a denominator: see the name of each for who uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// `ℓ`: each entry by itself, in the logits' shape, 0 where it does not count.
    None,
    /// `Σ ℓ`: asymmetric loss and its kin, Hill, SPLC.
    Sum,
    /// `Σ ℓ / Σ m`: masking as first published; chemprop.
    #[default]
    Mean,
    /// `Σ ℓ / (N·C)`, missing entries in the denominator: Cole 2021 and the single-positive family, DeepChem 2.
    MeanAll,
    /// The mean over rows of each row's mean; rows without an entry that counts are left out.
    MeanPerRow,
    /// The mean over labels of each label's mean; labels without an entry that counts are left out.
    MeanPerLabel,
    /// `Σ ℓ / Σ w m`, with the weights `w` of [`Labels`](crate::Labels).
    WeightedMean,
    /// `Σ ℓ / n`, for a count known from outside: `N` for SparseChem, or that of a batch spread over machines.
    MeanOver(f64),
}
