//! A table as its file holds it.

use tch::Tensor;

use super::features::Features;

/// Not checked; NaN where a cell is missing.
pub struct Raw {
    /// None where they are in a file of their own.
    pub features: Option<Features>,
    /// None where they are not asked for.
    pub labels: Option<Tensor>,
    pub label_names: Vec<String>,
    pub split: Option<Vec<String>>,
    pub group: Option<Vec<String>>,
}
