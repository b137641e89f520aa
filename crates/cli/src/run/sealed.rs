//! Safetensors files of weights, with a checksum of their content.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use crate::data;

/// Tensors become `f32`; only one of them is copied to bytes at a time. One key of the metadata holds the checksum and
/// the text: two keys would have no order, and the same run would not always write the same bytes.
pub fn write(path: &Path, (key, text): (&str, &str), tensors: &[(String, Tensor)]) -> Result<()> {
    let stored = |(name, tensor): &'_ (String, Tensor)| Ok((name.clone(), Stored::new(tensor)?));
    let stored: Vec<_> = tensors.iter().map(stored).collect::<Result<_>>()?;
    let views = || stored.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let metadata = HashMap::from([(key.to_owned(), format!("{} {text}", checksum(text, views().collect())))]);
    Ok(safetensors::serialize_to_file(views(), Some(metadata), path)?)
}

/// The text under the key, and the tensors.
pub fn read(file: &[u8], key: &str) -> Result<(String, HashMap<String, Tensor>)> {
    let (_, header) = SafeTensors::read_metadata(file)?;
    let sealed = header.metadata().as_ref().and_then(|metadata| metadata.get(key)?.split_once(' '));
    let (written, text) = sealed.context("it was not written by a training run")?;
    let found = checksum(text, SafeTensors::deserialize(file)?.iter().collect());
    ensure!(found == written, "it is damaged: expected checksum {written}, found {found}");
    Ok((text.to_owned(), data::tensors(file)?))
}

/// A contiguous tensor of `f32` on the CPU.
struct Stored {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        Ok(Self { shape: tensor.size().into_iter().map(|length| length as usize).collect(), tensor })
    }
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        4 * self.tensor.numel()
    }
}

/// CRC-32C of the text, and of names, types, shapes and bytes.
fn checksum<V: View>(text: &str, mut tensors: Vec<(&str, V)>) -> String {
    // The file has its tensors in another order.
    tensors.sort_by(|a, b| a.0.cmp(b.0));
    let sum = tensors.iter().fold(crc32c::crc32c(text.as_bytes()), |sum, (name, tensor)| {
        let head = format!("{name} {} {:?}", tensor.dtype(), tensor.shape());
        crc32c::crc32c_append(crc32c::crc32c_append(sum, head.as_bytes()), &tensor.data())
    });
    format!("{sum:08x}")
}
