//! A table as read from its file.

use masked_loss::Labels;

use super::features::Features;

/// Features are not checked; a missing cell is NaN.
pub struct Raw {
    pub rows: i64,
    /// `None` if they are in another file.
    pub features: Option<Features>,
    /// `[N, C]`, decoded; `None` if only the features are read.
    pub labels: Option<Labels>,
    /// Notes to print.
    pub notes: Vec<String>,
    pub label_names: Vec<String>,
    /// Whether these are numbers, because the file has no names.
    pub numbered: bool,
    pub split: Option<Vec<String>>,
    pub group: Option<Vec<String>>,
}

impl Raw {
    /// Features alone.
    pub fn of_features(features: Features) -> Self {
        Self {
            rows: features.rows(),
            features: Some(features),
            labels: None,
            notes: Vec::new(),
            label_names: Vec::new(),
            numbered: false,
            split: None,
            group: None,
        }
    }
}
