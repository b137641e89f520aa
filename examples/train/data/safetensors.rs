//! The safetensors format.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use safetensors::SafeTensors;
use tch::Tensor;

use super::arrays::{Arrays, words};
use crate::args::Source;

pub fn read(source: &Source) -> Result<Arrays> {
    let labels = label_names(source)?;
    let mut arrays: HashMap<_, _> = Tensor::read_safetensors(&source.data)?.into_iter().collect();
    let mut take = |name: &str| arrays.remove(name).with_context(|| format!("there is no array {name}"));
    let (x, y) = (take("X")?, take("Y")?);
    let split = source.split.as_ref().map(|name| words(&take(name)?).with_context(|| format!("array {name}")));
    Ok(Arrays { x, y, labels, split: split.transpose()? })
}

/// The format has no strings but in its metadata, which tch does not read.
fn label_names(source: &Source) -> Result<Option<Vec<String>>> {
    let (_, header) = SafeTensors::read_metadata(&fs::read(&source.data)?)?;
    let names = header.metadata().as_ref().and_then(|metadata| metadata.get("labels"));
    names.map(|list| serde_json::from_str(list).context("labels in the metadata is no JSON list")).transpose()
}
