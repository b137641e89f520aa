/// What the entries' losses are brought together to. A missing entry counts in no denominator.
///
/// The weights of [`Labels`](crate::Labels) multiply the entries' losses; denominators count entries, not weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// `ℓ`: each entry by itself, in the logits' shape, 0 where missing.
    None,
    /// `Σ ℓ`
    Sum,
    /// `Σ ℓ / Σ m`, over the number of observed entries; 0 where none is observed.
    #[default]
    Mean,
}
