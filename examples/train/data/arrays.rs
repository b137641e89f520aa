//! Tables that come as arrays: X, Y and the names of Y's columns.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use super::{Raw, columns};
use crate::args::Source;

pub struct Arrays {
    pub x: Tensor,
    pub y: Tensor,
    pub labels: Option<Vec<String>>,
    pub split: Option<Vec<String>>,
}

impl Arrays {
    /// Checks that the arrays belong together and keeps the labels that are asked for.
    pub fn select(self, source: &Source) -> Result<Raw> {
        let (rows, features) = matrix("X", &self.x)?;
        let (label_rows, labels) = matrix("Y", &self.y)?;
        ensure!(rows == label_rows, "X has {rows} rows and Y has {label_rows}");
        let names = self.labels.unwrap_or_else(|| positions(labels));
        ensure!(names.len() as i64 == labels, "there are {} label names for the {labels} columns of Y", names.len());
        columns::distinct(&names)?;
        if let Some(split) = &self.split {
            ensure!(split.len() as i64 == rows, "X has {rows} rows and the split has {}", split.len());
        }

        let all = ["*".to_string()];
        let wanted = if source.labels.is_empty() { &all } else { source.labels.as_slice() };
        let mut chosen = columns::select(&names, wanted)?;
        let ignored = columns::select(&names, &source.ignore)?;
        chosen.retain(|column| !ignored.contains(column));
        let index: Vec<i64> = chosen.iter().map(|&column| column as i64).collect();
        Ok(Raw {
            features: self.x,
            feature_names: positions(features),
            labels: self.y.index_select(1, &Tensor::from_slice(&index)),
            label_names: chosen.into_iter().map(|column| names[column].clone()).collect(),
            split: self.split,
        })
    }
}

fn matrix(name: &str, array: &Tensor) -> Result<(i64, i64)> {
    let size = array.size();
    ensure!(size.len() == 2, "{name} has shape {size:?} where a matrix was expected");
    Ok((size[0], size[1]))
}

fn positions(count: i64) -> Vec<String> {
    (0..count).map(|position| position.to_string()).collect()
}

/// Integers as words, where a file has them in place of names.
pub fn words(array: &Tensor) -> Result<Vec<String>> {
    use Kind::{Int, Int8, Int16, Int64, Uint8};
    ensure!(matches!(array.kind(), Uint8 | Int8 | Int16 | Int | Int64), "neither strings nor integers");
    let integers = Vec::<i64>::try_from(array.flatten(0, -1).to_kind(Int64))?;
    Ok(integers.iter().map(i64::to_string).collect())
}
