//! A table as its file holds it.

use tch::Tensor;

use super::features::Features;

/// Not checked; NaN where a cell is missing.
pub struct Raw {
    pub rows: i64,
    /// None where they are in another file.
    pub features: Option<Features>,
    /// None where only the features are read.
    pub labels: Option<Tensor>,
    pub label_names: Vec<String>,
    pub split: Option<Vec<String>>,
    pub group: Option<Vec<String>>,
}
