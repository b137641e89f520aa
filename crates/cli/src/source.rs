//! The options that say which table, what in it means what, and which rows are for what.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum, value_parser};
use serde::{Serialize, Serializer};

use crate::names::{self, Names};

/// Which table, and what in it means what.
#[derive(Args, Clone, Serialize)]
pub struct Source {
    /// The table: .csv or .csv.gz with a header, .parquet, or .npz or .safetensors with the arrays X and Y. In .parquet a
    /// list of numbers is a feature for each of them, and null is a missing label. In place of X an .npz may have X_bits,
    /// as numpy.packbits(X, axis=1) makes it: a bit stays a bit in memory. An .npz that
    /// scipy.sparse.save_npz wrote (format csr) is Y: what is stored is observed, 0 and -1 as negatives, all else is
    /// missing. Where no labels are needed it is X.
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "lossy")]
    pub data: PathBuf,
    /// The file of the features, where they are not in that of --data, with the rows in the same order: .npz or
    /// .safetensors with X, or an .npz that scipy.sparse.save_npz wrote (format csr), which stays sparse in memory.
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "lossy_option")]
    pub features: Option<PathBuf>,
    /// Label columns, names or globs; in arrays all of Y, unless told. As in a line of CSV, a name with a comma stands
    /// between quotes: '"2,4-D",NR-*'. Y's columns are named by the array `labels` of an .npz, by a JSON list under
    /// `labels` in the metadata of a .safetensors, else by their positions from 0.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub labels: Vec<Names>,
    /// Columns to leave out, written as for --labels; in a table with named columns, all that is neither label nor left
    /// out is a feature.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub ignore: Vec<Names>,
    /// Feature columns, written as for --labels, that hold fingerprints as text of 0s and 1s: each character is a feature,
    /// and NAME becomes NAME[0], NAME[1], ... after all other features.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub bits: Vec<Names>,
    /// A label of this value is missing, besides empty cells, ?, NA and NaN.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub missing_value: Option<f64>,
    /// Makes labels binary: 1 from this value on, else 0.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub threshold: Option<f64>,
    /// The column (or array) that says train, validation or test (or 0, 1, 2) for each row; a random split by seed,
    /// unless told.
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// The column (or array) whose rows of one value stay together in a split, such as a scaffold or a patient.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Set where only the features are read: the labels that are known to be no features.
    #[arg(skip)]
    #[serde(skip)]
    pub unlabelled: Option<Vec<String>>,
}

impl Source {
    /// Whether features are in the file of `--data`.
    pub fn has_features(&self) -> bool {
        self.features.is_none()
    }

    pub fn has_labels(&self) -> bool {
        self.unlabelled.is_none()
    }
}

#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    pub source: Source,
    /// Shows every label, and not only the first ones.
    #[arg(long)]
    pub all: bool,
}

/// Which rows are for what, where no column says it.
#[derive(Args, Clone, Default, Serialize)]
pub struct Splitting {
    /// The order in which rows (or groups) go to the parts.
    #[arg(long, value_enum, default_value_t, value_name = "ORDER", conflicts_with = "split")]
    #[serde(skip_serializing_if = "is_default")]
    pub split_by: Order,
    /// Shares of the rows to train on, for validation and for the test.
    #[arg(long, value_name = "TRAIN,VALIDATION,TEST", default_value = "0.8,0.1,0.1", value_parser = parse_fractions)]
    #[arg(conflicts_with_all = ["split", "folds"])]
    #[serde(skip_serializing_if = "is_default")]
    pub fractions: Fractions,
    /// Cuts the rows into this many equal folds: --fold is the test part, the one after it is for validation.
    #[arg(long, value_name = "K", requires = "fold", conflicts_with = "split", value_parser = value_parser!(u32).range(3..))]
    pub folds: Option<u32>,
    /// Which of the --folds, from 1 on.
    #[arg(long, value_name = "I", requires = "folds", value_parser = value_parser!(u32).range(1..))]
    pub fold: Option<u32>,
    /// A CSV with the columns row (from 0) and part, as a run leaves in its folder as split.csv; it has every row of the
    /// table once.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["split", "group", "split_by", "fractions", "folds"])]
    #[serde(serialize_with = "lossy_option")]
    pub split_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Shuffled by --seed.
    #[default]
    Random,
    /// As they stand in the table: the first train, the last are the test.
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

/// What conflicts with another option must not be written down where nobody gave it.
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

/// JSON holds Unicode only, a path may be anything.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

fn lossy_option<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(serializer)
}

fn parse_finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("expected a finite number")
}
