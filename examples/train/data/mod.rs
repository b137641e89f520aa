//! Tables in files, and what must hold for one before a network sees it.

mod arrays;
mod columns;
mod csv;
mod npz;
mod safetensors;

use anyhow::{Context, Result, bail, ensure};
use masked_loss::Labels;
use tch::{Device, Kind, Tensor};

use crate::args::Source;

/// Checked: rows agree, features are finite, observed labels lie in [0, 1] and there is at least one.
pub struct Table {
    /// `[N, F]`, `u8` (fingerprints stay at one byte a bit) or `f32`.
    pub features: Tensor,
    /// `[N, C]`
    pub labels: Labels,
    pub label_names: Vec<String>,
    /// What the split column says of each row.
    pub split: Option<Vec<String>>,
}

/// A table as its file holds it, NaN where a cell is missing.
struct Raw {
    features: Tensor,
    feature_names: Vec<String>,
    labels: Tensor,
    label_names: Vec<String>,
    split: Option<Vec<String>>,
}

impl Table {
    pub fn read(source: &Source) -> Result<Self> {
        read(source)
            .and_then(|raw| Self::check(raw, source))
            .with_context(|| format!("cannot use {}", source.data.display()))
    }

    fn check(raw: Raw, source: &Source) -> Result<Self> {
        ensure!(!raw.feature_names.is_empty(), "no feature is left");
        ensure!(!raw.label_names.is_empty(), "no label is left");
        ensure!(raw.features.size()[0] > 0, "there is no row");
        let features = match raw.features.kind() {
            Kind::Uint8 => raw.features,
            _ => raw.features.to_kind(Kind::Float),
        };
        if let Some((row, column)) = first(&features.isfinite().logical_not()) {
            let found = features.double_value(&[row, column]);
            let name = &raw.feature_names[column as usize];
            bail!("feature {name:?} is {found} in data row {}: only labels may be missing", row + 1);
        }
        let labels = decode(&raw.labels, source);
        // NaN is neither below 0 nor above 1.
        if let Some((row, column)) = first(&labels.lt(0.0).logical_or(&labels.gt(1.0))) {
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
        Ok(Self { features, labels, label_names: raw.label_names, split: raw.split })
    }

    pub fn rows(&self) -> i64 {
        self.features.size()[0]
    }

    /// The features of a batch.
    pub fn inputs(&self, index: &Tensor) -> Tensor {
        self.features.index_select(0, index).to_kind(Kind::Float)
    }

    pub fn to_device(&self, device: Device) -> Result<Self> {
        Ok(Self {
            features: self.features.to_device(device),
            labels: self.labels.to_device(device)?,
            label_names: self.label_names.clone(),
            split: self.split.clone(),
        })
    }
}

fn read(source: &Source) -> Result<Raw> {
    let name = source.data.to_string_lossy().to_lowercase();
    if name.ends_with(".csv") || name.ends_with(".csv.gz") {
        csv::read(source)
    } else if name.ends_with(".npz") {
        npz::read(source)?.select(source)
    } else if name.ends_with(".safetensors") {
        safetensors::read(source)?.select(source)
    } else {
        bail!("its name must end in .csv, .csv.gz, .npz or .safetensors")
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

/// Row and column of the first true cell.
fn first(mask: &Tensor) -> Option<(i64, i64)> {
    let found = mask.nonzero();
    (found.size()[0] > 0).then(|| (found.int64_value(&[0, 0]), found.int64_value(&[0, 1])))
}
