//! Tables, and the checks before a network sees one.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use masked_loss::Labels;
use tch::{Device, Kind, Tensor};

use super::features::{Features, chunk};
use super::raw::Raw;
use super::read;
use super::{cell, columns};
use crate::cli::source::Source;
use crate::note::note;

/// Checked: rows agree, features are finite, observed labels are within [0, 1] and there is at least one.
pub struct Table {
    pub features: Features,
    /// `[N, C]`
    pub labels: Labels,
    pub label_names: Vec<String>,
    /// Whether these are numbers, because the table has no names.
    pub numbered: bool,
    /// The cells of the split column.
    pub split: Option<Vec<String>>,
    /// The group of each row; `None` if its cell is empty.
    pub group: Option<Vec<Option<String>>>,
}

/// Observed entries, row by row.
pub struct Entries {
    pub rows: Vec<i64>,
    pub columns: Vec<i64>,
    pub values: Vec<f64>,
}

impl Entries {
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        let places = self.rows.iter().zip(&self.columns);
        places.zip(&self.values).map(|((&row, &column), &value)| (row as usize, column as usize, value))
    }
}

impl Table {
    pub fn read(source: &Source) -> Result<Self> {
        let raw = read(source)?;
        let labels = checked_labels(&raw).with_context(|| cannot_use(&source.data))?;
        let Raw { rows, label_names, numbered, split, group, .. } = raw;
        let features = checked_features(raw.features, rows, source)?;
        // `None` for any word that means missing.
        let known = |word: String| (!cell::is_missing(&word)).then_some(word);
        let words = |words: Vec<String>| -> Vec<_> { columns::trimmed(&words).into_iter().map(known).collect() };
        let split = split.map(|split| words(split).into_iter().map(Option::unwrap_or_default).collect());
        let group = group.map(words);
        Ok(Self { features, labels, label_names, numbered, split, group })
    }

    pub fn rows(&self) -> i64 {
        self.features.rows()
    }

    /// The labels of some rows.
    pub fn labels_of(&self, rows: &[i64]) -> Result<Labels> {
        Ok(self.labels.rows(&Tensor::from_slice(rows).to_device(self.features.device()))?)
    }

    /// The observed entries, some rows at a time: row in the table, label and value of each.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entries>> {
        let (rows, labels) = (self.rows(), self.label_names.len() as i64);
        let step = if self.labels.is_sparse() { rows } else { chunk(labels) }.max(1);
        (0..rows).step_by(step as usize).map(move |start| {
            let part: Vec<i64> = (start..rows.min(start + step)).collect();
            let [rows, columns, values] = self.labels_of(&part)?.to_entries()?;
            Ok(Entries {
                rows: Vec::try_from((rows + start).to_device(Device::Cpu))?,
                columns: Vec::try_from(columns.to_device(Device::Cpu))?,
                values: Vec::try_from(values.to_device(Device::Cpu).to_kind(Kind::Double))?,
            })
        })
    }

    pub fn to_device(&self, device: Device) -> Result<Self> {
        Ok(Self {
            features: self.features.to_device(device),
            labels: self.labels.to_device(device)?,
            label_names: self.label_names.clone(),
            numbered: self.numbered,
            split: self.split.clone(),
            group: self.group.clone(),
        })
    }
}

impl Features {
    /// The features of a table whose labels are unknown or ignored: columns with these names are not features.
    pub fn read(source: &Source, labels: &[String]) -> Result<Self> {
        let source = Source { unlabelled: Some(labels.to_vec()), ..source.clone() };
        let raw = read(&source)?;
        checked_features(raw.features, raw.rows, &source)
    }
}

/// Prints notes before the checks, because they may explain an error.
fn read(source: &Source) -> Result<Raw> {
    let raw = read::table(source).with_context(|| cannot_use(&source.data))?;
    raw.notes.iter().for_each(note);
    Ok(raw)
}

/// The table's features, or those of `--features`, which must have as many rows as the table.
fn checked_features(of_table: Option<Features>, rows: i64, source: &Source) -> Result<Features> {
    let path = source.features.as_ref().unwrap_or(&source.data);
    let checked = || -> Result<_> {
        let features = match of_table {
            Some(features) => features,
            None => Features::new(vec![read::features(path)?], None),
        };
        ensure!(features.width() > 0, "no feature remains after --labels and --ignore");
        ensure!(features.rows() > 0, "there is no row");
        features.check()?;
        Ok(features)
    };
    let features = checked().with_context(|| cannot_use(path))?;
    let (found, data) = (features.rows(), source.data.display());
    ensure!(found == rows, "{} has {found} rows, and {data} has {rows}", path.display());
    Ok(features)
}

fn checked_labels(raw: &Raw) -> Result<Labels> {
    let labels = raw.labels.as_ref().context("there are no labels")?;
    ensure!(!raw.label_names.is_empty(), "no label remains after --labels and --ignore");
    ensure!(labels.size()[0] > 0, "there is no row");
    ensure!(labels.range().is_some(), "no label is observed at all");
    Ok(labels.clone())
}

fn cannot_use(path: &Path) -> String {
    format!("cannot use {}", path.display())
}
