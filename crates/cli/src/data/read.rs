//! The format of a file, by its name.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::damage::caught;
use super::features::{Block, Features};
use super::raw::Raw;
use super::{csv, long, npz, parquet, safetensors};
use crate::cli::source::Source;

/// The file of `--data`.
pub fn table(source: &Source) -> Result<Raw> {
    // The reader of Parquet panics over a damaged file; those of the other formats return errors.
    match source.data.to_string_lossy().to_lowercase().ends_with(".parquet") {
        true => caught(|| by_name(source)),
        false => by_name(source),
    }
}

fn by_name(source: &Source) -> Result<Raw> {
    if let Some(columns) = &source.long {
        let path = source.features.as_ref().context("--long needs --features, the file of the features")?;
        let block = features(path).with_context(|| format!("--features {}", path.display()))?;
        let features = Features::new(vec![block], None);
        return match source.has_labels() {
            true => long::read(source, &columns.0, features),
            false => Ok(Raw::of_features(features)),
        };
    }
    let name = source.data.to_string_lossy().to_lowercase();
    if name.ends_with(".csv") || name.ends_with(".csv.gz") {
        csv::read(source)
    } else if name.ends_with(".parquet") {
        parquet::read(source)
    } else if name.ends_with(".npz") {
        npz::read(source)?.select(source)
    } else if name.ends_with(".safetensors") {
        safetensors::read(source)?.select(source)
    } else {
        bail!("its name must end in .csv, .csv.gz, .parquet, .npz or .safetensors")
    }
}

/// The file of `--features`.
pub fn features(path: &Path) -> Result<Block> {
    let name = path.to_string_lossy().to_lowercase();
    if name.ends_with(".npz") {
        npz::features(path)
    } else if name.ends_with(".safetensors") {
        safetensors::features(path)
    } else {
        bail!("its name must end in .npz or .safetensors")
    }
}
