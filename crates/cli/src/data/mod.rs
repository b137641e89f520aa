//! Tables in files, and what must hold for one before a network sees it.

mod arrays;
mod bits;
mod checksum;
mod columns;
mod csr;
mod csv;
mod features;
mod file;
mod npz;
mod parquet;
mod safetensors;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use masked_loss::Labels;
use tch::{Device, Kind, Tensor};

use crate::source::Source;
pub use features::{Block, Features, chunk};

/// Checked: rows agree, features are finite, observed labels lie in [0, 1] and there is at least one.
pub struct Table {
    pub features: Features,
    /// `[N, C]`
    pub labels: Labels,
    pub label_names: Vec<String>,
    /// What the split column says of each row.
    pub split: Option<Vec<String>>,
    /// What the group column says of each row.
    pub group: Option<Vec<String>>,
}

/// A table as its file holds it, NaN where a cell is missing.
struct Raw {
    /// None where they are in a file of their own.
    features: Option<Features>,
    /// None where they are not asked for.
    labels: Option<Tensor>,
    label_names: Vec<String>,
    split: Option<Vec<String>>,
    group: Option<Vec<String>>,
}

impl Table {
    pub fn read(source: &Source) -> Result<Self> {
        let raw = read(source).with_context(|| cannot_use(&source.data))?;
        let labels = labels(&raw, source).with_context(|| cannot_use(&source.data))?;
        let Raw { label_names, split, group, .. } = raw;
        let features = features(raw.features, source)?;
        let (rows, expected) = (features.rows(), labels.size()[0]);
        ensure!(rows == expected, "there are {rows} rows of features, and {expected} of labels");
        Ok(Self { features, labels, label_names, split, group })
    }

    pub fn rows(&self) -> i64 {
        self.features.rows()
    }

    pub fn to_device(&self, device: Device) -> Result<Self> {
        Ok(Self {
            features: self.features.to_device(device),
            labels: self.labels.to_device(device)?,
            label_names: self.label_names.clone(),
            split: self.split.clone(),
            group: self.group.clone(),
        })
    }
}

impl Features {
    /// Those of a table whose labels are not known, or of no account: columns of these names are no features.
    pub fn read(source: &Source, labels: &[String]) -> Result<Self> {
        if source.features.is_some() {
            return features(None, source);
        }
        let source = Source { unlabelled: Some(labels.to_vec()), ..source.clone() };
        let raw = read(&source).with_context(|| cannot_use(&source.data))?;
        features(raw.features, &source)
    }
}

/// The table's features, or those of the file that has them.
fn features(of_table: Option<Features>, source: &Source) -> Result<Features> {
    let path = source.features.as_ref().unwrap_or(&source.data);
    let checked = || -> Result<_> {
        let features = match of_table {
            Some(features) => features,
            None => Features::new(vec![block(path)?], None),
        };
        ensure!(features.width() > 0, "no feature is left");
        ensure!(features.rows() > 0, "there is no row");
        features.check()?;
        Ok(features)
    };
    checked().with_context(|| cannot_use(path))
}

fn labels(raw: &Raw, source: &Source) -> Result<Labels> {
    let labels = raw.labels.as_ref().context("there are no labels")?;
    ensure!(!raw.label_names.is_empty(), "no label is left");
    ensure!(labels.size()[0] > 0, "there is no row");
    let labels = decode(labels, source);
    // NaN is neither below 0 nor above 1.
    if let Some((row, column)) = features::first(&labels.lt(0.0).logical_or(&labels.gt(1.0))) {
        let found = labels.double_value(&[row, column]);
        let name = &raw.label_names[column as usize];
        bail!(
            "label {name:?} is {found} in data row {}, outside [0, 1]: \
             --threshold makes labels binary, --missing-value names a number that means missing",
            row + 1
        );
    }
    let labels = Labels::from_nan(&labels)?;
    ensure!(labels.range().is_some(), "no label is observed at all");
    Ok(labels)
}

fn cannot_use(path: &Path) -> String {
    format!("cannot use {}", path.display())
}

fn read(source: &Source) -> Result<Raw> {
    let name = source.data.to_string_lossy().to_lowercase();
    if name.ends_with(".csv") || name.ends_with(".csv.gz") {
        csv::read(source)
    } else if name.ends_with(".parquet") {
        parquet::read(source)
    } else if name.ends_with(".npz") {
        npz::read(source)?.select(source)
    } else if name.ends_with(".safetensors") {
        safetensors::read(source)?.select(source)
    } else {
        bail!("its name must end in .csv, .csv.gz, .parquet, .npz or .safetensors")
    }
}

/// The one block of a file of features.
fn block(path: &Path) -> Result<Block> {
    let name = path.to_string_lossy().to_lowercase();
    if name.ends_with(".npz") {
        npz::features(path)
    } else if name.ends_with(".safetensors") {
        safetensors::features(path)
    } else {
        bail!("its name must end in .npz or .safetensors")
    }
}

/// NaN where missing, then 0 or 1 where a threshold is set.
fn decode(labels: &Tensor, source: &Source) -> Tensor {
    let mut labels = match labels.kind() {
        Kind::Double => labels.shallow_clone(),
        _ => labels.to_kind(Kind::Float),
    };
    if let Some(sentinel) = source.missing_value {
        labels = labels.masked_fill(&labels.eq(sentinel), f64::NAN);
    }
    if let Some(threshold) = source.threshold {
        labels = labels.ge(threshold).to_kind(Kind::Float).masked_fill(&labels.isnan(), f64::NAN);
    }
    labels
}
