//! All that a run needs to resume, in one file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use super::progress::Progress;
use crate::{data, input};

pub const FILE: &str = "checkpoint.safetensors";

pub fn write(path: &Path, progress: &Progress, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes: Vec<_> = tensors
        .iter()
        .map(|(_, tensor)| {
            let tensor = tensor.detach().to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous();
            let mut bytes = vec![0; 4 * tensor.numel()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            let shape = tensor.size().into_iter().map(|length| length as usize).collect();
            Ok((shape, bytes))
        })
        .collect::<Result<_>>()?;
    let views: Vec<_> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, _), (shape, bytes)): (_, &(Vec<usize>, Vec<u8>))| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        })
        .collect::<Result<_>>()?;
    let metadata = HashMap::from([("progress".to_owned(), serde_json::to_string(progress)?)]);
    Ok(safetensors::serialize_to_file(views, Some(metadata), path)?)
}

pub fn read(folder: &Path) -> Result<(Progress, HashMap<String, Tensor>)> {
    let path = folder.join(FILE);
    let read = || -> Result<_> {
        let bytes = input::bytes(&path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let progress = header.metadata().as_ref().and_then(|metadata| metadata.get("progress"));
        let progress: Progress = serde_json::from_str(progress.context("it is not a checkpoint")?)?;
        let Progress { epoch, best_epoch, history, times, .. } = &progress;
        let ended = history.len() as u64;
        let whole = *epoch == ended + 1 && times.len() as u64 == ended && *best_epoch <= ended;
        ensure!(whole, "it says epoch {epoch}, with {ended} epochs in its history");
        let tensors = data::tensors(&bytes)?;
        for (name, tensor) in &tensors {
            ensure!(tensor.kind() == Kind::Float, "{name} is not f32");
        }
        Ok((progress, tensors))
    };
    read().with_context(|| format!("cannot resume from {}", path.display()))
}
