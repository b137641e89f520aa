//! The safetensors format.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Kind, Tensor};

use super::arrays::{Arrays, TOO_LARGE, Y, matrix, words};
use super::features::Block;
use crate::cli::source::Source;
use crate::input;

pub fn read(source: &Source) -> Result<Arrays> {
    let bytes = input::bytes(&source.data)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let mut y = if source.has_labels() { Some(required(&file, "Y")?) } else { None };
    if !source.has_features() && y.is_none() {
        // Only the number of rows is needed.
        y = required(&file, "Y").ok();
    }
    let x = if source.has_features() || y.is_none() { Some(block(&file)?) } else { None };
    let column = |name: &Option<String>| {
        let array = name.as_ref().map(|name| words(&required(&file, name)?).with_context(|| in_array(name)));
        array.transpose()
    };
    let (split, group) = (column(&source.split)?, column(&source.group)?);
    Ok(Arrays { x, y: y.map(Y::Dense), labels: label_names(&bytes)?, split, group })
}

/// X alone.
pub fn features(path: &Path) -> Result<Block> {
    block(&SafeTensors::deserialize(&input::bytes(path)?)?)
}

/// All arrays of a file.
pub fn tensors(file: &[u8]) -> Result<HashMap<String, Tensor>> {
    let views = SafeTensors::deserialize(file)?.tensors();
    let tensor = |(name, view): (String, TensorView)| {
        let tensor = tensor(&view).with_context(|| in_array(&name))?;
        Ok((name, tensor))
    };
    views.into_iter().map(tensor).collect()
}

fn required(file: &SafeTensors, name: &str) -> Result<Tensor> {
    let view = file.tensor(name).ok().with_context(|| format!("there is no array {name}"))?;
    tensor(&view).with_context(|| in_array(name))
}

fn in_array(name: &str) -> String {
    format!("array {name}")
}

fn tensor(view: &TensorView) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
    let kind = match view.dtype() {
        Dtype::U8 | Dtype::BOOL => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::U16 | Dtype::U32 | Dtype::U64 => {
            let width = view.dtype().bitsize() / 8;
            let integer = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
            let integers = view.data().chunks_exact(width).map(|bytes| i64::try_from(integer(bytes)));
            let integers = integers.collect::<Result<Vec<_>, _>>().ok().context(TOO_LARGE)?;
            return Ok(Tensor::f_from_slice(&integers)?.f_view(&shape[..])?);
        }
        of => bail!("elements of type {of} are not supported; F32 is"),
    };
    let array = Tensor::f_from_data_size(view.data(), &shape, kind)?;
    // The file may hold any byte.
    Ok(if view.dtype() == Dtype::BOOL { array.ne(0) } else { array })
}

fn block(file: &SafeTensors) -> Result<Block> {
    let x = required(file, "X")?;
    matrix("X", &x)?;
    Ok(Block::Dense(x))
}

/// The format has strings only in its metadata.
fn label_names(file: &[u8]) -> Result<Option<Vec<String>>> {
    let (_, header) = SafeTensors::read_metadata(file)?;
    let names = header.metadata().as_ref().and_then(|metadata| metadata.get("labels"));
    names.map(|list| serde_json::from_str(list).context("labels in the metadata is not a JSON list")).transpose()
}
