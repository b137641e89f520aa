/// How the entries' losses `ℓ` are reduced to one value. `m` is 1 for entries that count: the observed ones, or all of
/// them for a loss [`with_missing`](crate::Loss::with_missing) entries.
///
/// The weights of [`Labels`](crate::Labels) multiply the entries' losses. They are part of `ℓ`, and only
/// [`WeightedMean`](Self::WeightedMean) has them in its denominator. If the denominator is 0, so is the sum, and the
/// result is 0.
///
/// A published learning rate is tied to a denominator: each variant names who uses it.
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
    /// `Σ ℓ / n`, for a count that you pass: `N` for SparseChem, or the count of a batch spread over machines.
    MeanOver(f64),
}
