//! All that a run needs to go on, in one file: it is there as a whole or not at all.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::args::Training;
use crate::fit::Epoch;

pub const FILE: &str = "checkpoint.safetensors";

/// Where a run is. Its random numbers follow from the seed and the step, so these need no state of their own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Progress {
    pub training: Training,
    /// The epoch that goes on, counted from 1.
    pub epoch: u64,
    /// How many of its steps are done, and what they added to its loss.
    pub step: u64,
    pub sum: f64,
    pub weight: f64,
    /// Steps of all epochs.
    pub steps: u64,
    pub best_epoch: u64,
    /// None before the first epoch is over.
    pub best_score: Option<f64>,
    pub history: Vec<Epoch>,
    /// When its epochs ended, in seconds since 1970.
    pub times: Vec<f64>,
}

impl Progress {
    pub fn new(training: &Training) -> Self {
        Self {
            training: training.clone(),
            epoch: 1,
            step: 0,
            sum: 0.0,
            weight: 0.0,
            steps: 0,
            best_epoch: 0,
            best_score: None,
            history: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Whether the last epoch is over, or patience.
    pub fn is_done(&self) -> bool {
        let stale = (self.epoch - 1).saturating_sub(self.best_epoch);
        self.epoch > self.training.epochs || self.training.patience.is_some_and(|patience| stale >= patience)
    }
}

/// Writes a checkpoint to `path`; see [`Folder::write`](crate::output::Folder::write) for how it gets to its place.
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
        let bytes = fs::read(&path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let progress = header.metadata().as_ref().and_then(|metadata| metadata.get("progress"));
        let progress: Progress = serde_json::from_str(progress.context("it is no checkpoint")?)?;
        let Progress { epoch, best_epoch, history, times, .. } = &progress;
        let ended = history.len() as u64;
        let whole = *epoch == ended + 1 && times.len() as u64 == ended && *best_epoch <= ended;
        ensure!(whole, "it says epoch {epoch}, with {ended} epochs in its history");
        let file = SafeTensors::deserialize(&bytes)?;
        let tensor = |(name, view): (String, TensorView)| {
            ensure!(view.dtype() == Dtype::F32, "{name} is not of f32");
            let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
            Ok((name, Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?))
        };
        Ok((progress, file.tensors().into_iter().map(tensor).collect::<Result<_>>()?))
    };
    read().with_context(|| format!("cannot go on from {}", path.display()))
}
