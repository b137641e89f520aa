//! The safetensors format.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Kind, Tensor};

use super::arrays::{Arrays, matrix, words};
use super::features::Block;
use crate::cli::source::Source;
use crate::input;

pub fn read(source: &Source) -> Result<Arrays> {
    let file = input::bytes(&source.data)?;
    let (labels, mut arrays) = (label_names(&file)?, tensors(&file)?);
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
    Ok(Arrays { x, y, sparse: false, labels, split, group })
}

/// X alone.
pub fn features(path: &Path) -> Result<Block> {
    block(tensors(&input::bytes(path)?)?.remove("X").context("there is no array X")?)
}

/// All arrays of a file.
pub fn tensors(file: &[u8]) -> Result<HashMap<String, Tensor>> {
    let views = SafeTensors::deserialize(file)?.tensors();
    let tensor = |(name, view): (String, TensorView)| {
        let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
        let kind = kind(view.dtype()).with_context(|| format!("array {name}"))?;
        Ok((name, Tensor::f_from_data_size(view.data(), &shape, kind)?))
    };
    views.into_iter().map(tensor).collect()
}

fn kind(dtype: Dtype) -> Result<Kind> {
    Ok(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        _ => bail!("elements of type {dtype} are not supported"),
    })
}

fn block(x: Tensor) -> Result<Block> {
    matrix("X", &x)?;
    Ok(Block::Dense(x))
}

/// The format has no strings but in its metadata.
fn label_names(file: &[u8]) -> Result<Option<Vec<String>>> {
    let (_, header) = SafeTensors::read_metadata(file)?;
    let names = header.metadata().as_ref().and_then(|metadata| metadata.get("labels"));
    names.map(|list| serde_json::from_str(list).context("labels in the metadata is not a JSON list")).transpose()
}
