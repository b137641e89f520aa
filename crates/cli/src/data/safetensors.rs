//! The safetensors format.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use safetensors::SafeTensors;
use tch::Tensor;

use super::arrays::{Arrays, matrix, words};
use super::features::Block;
use crate::cli::source::Source;

pub fn read(source: &Source) -> Result<Arrays> {
    let labels = label_names(source)?;
    let mut arrays: HashMap<_, _> = Tensor::read_safetensors(&source.data)?.into_iter().collect();
    let mut take = |name: &str| arrays.remove(name).with_context(|| format!("there is no array {name}"));
    let mut y = if source.has_labels() { Some(take("Y")?) } else { None };
    if !source.has_features() && y.is_none() {
        // Only the number of rows is wanted.
        y = take("Y").ok();
    }
    let x = if source.has_features() || y.is_none() { Some(block(take("X")?)?) } else { None };
    let mut column = |name: &Option<String>| {
        let words = name.as_ref().map(|name| words(&take(name)?).with_context(|| format!("array {name}")));
        words.transpose()
    };
    let (split, group) = (column(&source.split)?, column(&source.group)?);
    Ok(Arrays { x, y, labels, split, group })
}

/// X alone.
pub fn features(path: &Path) -> Result<Block> {
    let x = Tensor::read_safetensors(path)?.into_iter().find_map(|(name, array)| (name == "X").then_some(array));
    block(x.context("there is no array X")?)
}

fn block(x: Tensor) -> Result<Block> {
    matrix("X", &x)?;
    Ok(Block::Dense(x))
}

/// The format has no strings but in its metadata, which tch does not read.
fn label_names(source: &Source) -> Result<Option<Vec<String>>> {
    let (_, header) = SafeTensors::read_metadata(&fs::read(&source.data)?)?;
    let names = header.metadata().as_ref().and_then(|metadata| metadata.get("labels"));
    names.map(|list| serde_json::from_str(list).context("labels in the metadata is not a JSON list")).transpose()
}
