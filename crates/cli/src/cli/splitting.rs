//! The options that say which rows train, validate and test.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use serde::Serialize;

/// Which rows train, validate and test, unless a column says so.
#[derive(Args, Clone, Default, Serialize)]
pub struct Splitting {
    /// The order in which rows (or groups) are assigned to train, validation and test.
    #[arg(long, value_enum, default_value_t, value_name = "ORDER", conflicts_with = "split")]
    #[serde(skip_serializing_if = "is_default")]
    pub split_by: Order,
    /// Shares of the rows for training, validation and test.
    #[arg(long, value_name = "TRAIN,VALIDATION,TEST", default_value = "0.8,0.1,0.1", value_parser = parse_fractions)]
    #[arg(conflicts_with_all = ["split", "folds"])]
    #[serde(skip_serializing_if = "is_default")]
    pub fractions: Fractions,
    /// Cuts the rows into this many equal folds: --fold is the test part, and the next one is for validation.
    #[arg(long, value_name = "K", requires = "fold", conflicts_with = "split", value_parser = value_parser!(u32).range(3..))]
    pub folds: Option<u32>,
    /// The test fold, from 1.
    #[arg(long, value_name = "I", requires = "folds", value_parser = value_parser!(u32).range(1..))]
    pub fold: Option<u32>,
    /// A CSV with the columns row (from 0) and part, such as the split.csv in the folder of a run. It must list every
    /// row of the table once.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["split", "split_by", "fractions", "folds"])]
    pub split_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Shuffled by --seed.
    #[default]
    Random,
    /// As in the table: the first rows train, the last ones test.
    Index,
}

/// Above 0, with a sum of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fractions(pub [f64; 3]);

impl Default for Fractions {
    fn default() -> Self {
        Self([0.8, 0.1, 0.1])
    }
}

/// An option that conflicts with another must not be written to run.toml unless it was given.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn parse_fractions(text: &str) -> Result<Fractions, &'static str> {
    let shares: Option<Vec<f64>> = text.split(',').map(|share| share.trim().parse().ok()).collect();
    let shares: Option<[f64; 3]> = shares.and_then(|shares| shares.try_into().ok());
    shares
        .filter(|shares| shares.iter().all(|&share| share > 0.0) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9)
        .map(Fractions)
        .ok_or("expected three numbers above 0 with a sum of 1")
}
