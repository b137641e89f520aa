//! All that a run needs to resume, in one file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};

use super::progress::Progress;
use super::sealed;
use crate::input;

pub const FILE: &str = "checkpoint.safetensors";
const PROGRESS: &str = "progress";

pub fn write(path: &Path, progress: &Progress, tensors: &[(String, Tensor)]) -> Result<()> {
    sealed::write(path, (PROGRESS, &serde_json::to_string(progress)?), tensors)
}

/// Fails if a folder has no checkpoint.
pub fn find(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    input::open(&path).map(drop).with_context(|| cannot_resume(&path))
}

pub fn read(folder: &Path) -> Result<(Progress, HashMap<String, Tensor>)> {
    let path = folder.join(FILE);
    let read = || -> Result<_> {
        let (progress, tensors) = sealed::read(&input::bytes(&path)?, PROGRESS)?;
        let progress: Progress = serde_json::from_str(&progress)?;
        let Progress { epoch, best_epoch, history, times, .. } = &progress;
        let ended = history.len() as u64;
        let whole = *epoch == ended + 1 && times.len() as u64 == ended && *best_epoch <= ended;
        ensure!(whole, "it is in epoch {epoch}, but its history has {ended} epochs");
        for (name, tensor) in &tensors {
            ensure!(tensor.kind() == Kind::Float, "{name} is not f32");
        }
        Ok((progress, tensors))
    };
    read().with_context(|| cannot_resume(&path))
}

fn cannot_resume(path: &Path) -> String {
    format!("cannot resume from {} (without --resume, a run starts anew)", path.display())
}
