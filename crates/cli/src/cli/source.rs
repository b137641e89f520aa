//! The options that name a table and say what its columns mean.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::names::{self, Names};

/// A table, and what its columns mean.
#[derive(Args, Clone, Serialize)]
pub struct Source {
    /// The table: .csv or .csv.gz with a header, .parquet, or .npz or .safetensors with the arrays X and Y. In
    /// .parquet, a list of numbers gives one feature per number, and null is a missing label. Instead of X, an .npz may
    /// have X_bits, made by numpy.packbits(X, axis=1); it stays packed in memory. An .npz written by
    /// scipy.sparse.save_npz (format csr) is Y: stored entries are observed (0 and -1 are negatives), all others are
    /// missing. If no labels are needed, it is X.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// A separate file for the features, with the rows in the same order as --data: .npz or .safetensors with X, or an
    /// .npz written by scipy.sparse.save_npz (format csr), which stays sparse in memory.
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Label columns, as names or globs. The default is all columns of Y, or with --long all labels. Quote a name with
    /// a comma as in CSV: '"2,4-D",NR-*'. The names of Y's columns come from the array `labels` of an .npz or from a
    /// JSON list under `labels` in the metadata of a .safetensors; otherwise they are positions from 0. May be
    /// repeated; the names accumulate.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub labels: Vec<Names>,
    /// Columns to ignore, written as for --labels. In a table with named columns, every column that is neither a label
    /// nor ignored is a feature. May be repeated; the names accumulate.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub ignore: Vec<Names>,
    /// Feature columns, written as for --labels, that hold fingerprints as text of 0s and 1s. Each character becomes a
    /// feature, NAME[0], NAME[1], ..., after all other features. May be repeated; the names accumulate.
    #[arg(long, value_name = "NAME,...")]
    #[serde(serialize_with = "names::serialize")]
    pub bits: Vec<Names>,
    /// A label equal to this number is missing, like empty cells, ?, NA, NaN, null and similar words. The number also
    /// matches when rounded to the file's number type or to f32.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub missing_value: Option<f64>,
    /// Makes labels binary, before they become f32: 1 if at least this number, else 0.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = parse_finite)]
    pub threshold: Option<f64>,
    /// The column (or array) that assigns each row to train, validation or test (or 0, 1, 2). By default the split is
    /// random.
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// The column (or array) of groups, such as scaffolds or patients: rows with the same value stay together in a
    /// split. A row with an empty cell is a group of its own.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Reads each line of --data (.csv, .csv.gz or .parquet) as one observed label. Names three columns: the row number
    /// in the file of --features (from 0), the label, and its value. Labels are ordered by name. All other entries are
    /// missing and take no memory. predict reads only --features.
    #[arg(long, value_name = "ROW,LABEL,VALUE")]
    pub long: Option<Names>,
    /// Set when a network is applied: its labels, whose order --long then follows.
    #[arg(skip)]
    #[serde(skip)]
    pub known_labels: Option<Vec<String>>,
    /// Set when only features are read: the names of the labels, which are not features.
    #[arg(skip)]
    #[serde(skip)]
    pub unlabelled: Option<Vec<String>>,
}

impl Source {
    /// Whether features are in the file of `--data`.
    pub fn has_features(&self) -> bool {
        self.features.is_none()
    }

    /// The input files.
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
