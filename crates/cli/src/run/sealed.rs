//! Safetensors files of weights, with a checksum of all that they hold.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use crate::data;

/// Tensors become `f32`. In the metadata is, under the key, the checksum and the text: two keys would have no order, and the
/// same run would not always write the same bytes.
pub fn write(path: &Path, (key, text): (&str, &str), tensors: &[(String, Tensor)]) -> Result<()> {
    let stored: Vec<(Vec<usize>, Vec<u8>)> = tensors.iter().map(|(_, tensor)| stored(tensor)).collect::<Result<_>>()?;
    let named = tensors.iter().map(|(name, _)| name.as_str()).zip(&stored);
    let views: Vec<_> = named
        .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<_>>()?;
    let metadata = HashMap::from([(key.to_owned(), format!("{} {text}", checksum(text, views.clone())))]);
    Ok(safetensors::serialize_to_file(views, Some(metadata), path)?)
}

/// The text under the key, and the tensors.
pub fn read(file: &[u8], key: &str) -> Result<(String, HashMap<String, Tensor>)> {
    let (_, header) = SafeTensors::read_metadata(file)?;
    let sealed = header.metadata().as_ref().and_then(|metadata| metadata.get(key)?.split_once(' '));
    let (written, text) = sealed.context("no run wrote it")?;
    let found = checksum(text, SafeTensors::deserialize(file)?.iter().collect());
    ensure!(found == written, "it is damaged: its checksum is {found} where {written} was written");
    Ok((text.to_owned(), data::tensors(file)?))
}

fn stored(tensor: &Tensor) -> Result<(Vec<usize>, Vec<u8>)> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut bytes = vec![0; 4 * tensor.numel()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok((tensor.size().into_iter().map(|length| length as usize).collect(), bytes))
}

/// CRC-32C of the text, and of names, types, shapes and bytes.
fn checksum(text: &str, mut tensors: Vec<(&str, TensorView)>) -> String {
    // The format has an order of its own.
    tensors.sort_by(|a, b| a.0.cmp(b.0));
    let sum = tensors.iter().fold(crc32c::crc32c(text.as_bytes()), |sum, (name, tensor)| {
        let head = format!("{name} {} {:?}", tensor.dtype(), tensor.shape());
        crc32c::crc32c_append(crc32c::crc32c_append(sum, head.as_bytes()), tensor.data())
    });
    format!("{sum:08x}")
}
