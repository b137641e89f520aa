//! The options that name a table and say what its columns mean.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::names::{self, Names};

/// A table, and what its columns mean.
#[derive(Args, Clone, Serialize)]
pub struct Source {
    /// The table: .csv or .csv.gz with a header, .parquet, or .npz or .safetensors with the arrays X and Y. In .parquet a
    /// list of numbers is a feature for each of them, and null is a missing label. In place of X an .npz may have X_bits,
    /// as numpy.packbits(X, axis=1) makes it: a bit stays a bit in memory. An .npz that
    /// scipy.sparse.save_npz wrote (format csr) is Y: what is stored is observed, 0 and -1 as negatives, all else is
    /// missing. Where no labels are needed it is X.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The file of the features, where they are not in that of --data, with the rows in the same order: .npz or
    /// .safetensors with X, or an .npz that scipy.sparse.save_npz wrote (format csr), which stays sparse in memory.
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Label columns, names or globs; in arrays all of Y by default, with --long all labels. As in a line of CSV, a name
    /// with a comma stands between quotes: '"2,4-D",NR-*'. Y's columns are named by the array `labels` of an .npz, by a JSON
    /// list under `labels` in the metadata of a .safetensors, else by their positions from 0. Given more than once, the
    /// names add up.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub labels: Vec<Names>,
    /// Columns to leave out, written as for --labels; in a table with named columns, all that is neither label nor left
    /// out is a feature. Given more than once, the names add up.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub ignore: Vec<Names>,
    /// Feature columns, written as for --labels, that hold fingerprints as text of 0s and 1s: each character is a feature,
    /// and NAME becomes NAME[0], NAME[1], ... after all other features. Given more than once, the names add up.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub bits: Vec<Names>,
    /// A label of this value is missing, besides empty cells, ?, NA, NaN, null and the like: exactly, or rounded to the type
    /// of the file's numbers or to f32.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub missing_value: Option<f64>,
    /// Makes labels binary, before they become f32: 1 from this value on, else 0.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub threshold: Option<f64>,
    /// The column (or array) that says train, validation or test (or 0, 1, 2) for each row. By default the split is random.
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// The column (or array) whose rows of one value stay together in a split, such as a scaffold or a patient. A row whose
    /// cell is empty is a group of its own.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Says that a line of --data (.csv, .csv.gz or .parquet) is not a row but an observed label: the names of three columns,
    /// the row in the file of --features, from 0, the label, and its value. Labels are in the order of their names. All else is
    /// missing, and takes no memory. predict reads --features alone.
    #[arg(long, value_name = "ROW,LABEL,VALUE")]
    pub long: Option<Names>,
    /// Set where a network is applied: its labels, which --long then takes in their order.
    #[arg(skip)]
    #[serde(skip)]
    pub known_labels: Option<Vec<String>>,
    /// Set where only the features are read: the names of the labels, which are not features.
    #[arg(skip)]
    #[serde(skip)]
    pub unlabelled: Option<Vec<String>>,
}

impl Source {
    /// Whether features are in the file of `--data`.
    pub fn has_features(&self) -> bool {
        self.features.is_none()
    }

    /// The files that are read.
    pub fn files(&self) -> Vec<&Path> {
        [Some(self.data.as_path()), self.features.as_deref()].into_iter().flatten().collect()
    }

    pub fn has_labels(&self) -> bool {
        self.unlabelled.is_none()
    }
}

fn parse_finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("expected a finite number")
}
