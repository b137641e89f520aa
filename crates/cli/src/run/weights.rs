//! `weights.safetensors`: the network of the best epoch, and the checksum of the configuration that describes it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tch::{Device, Tensor};

use super::description::{self, Description};
use super::output::{Folder, json};
use super::{checkpoint, sealed};
use crate::input;
use crate::model::network::Network;

pub const FILE: &str = "weights.safetensors";
const CONFIG: &str = "config";

pub fn write(folder: &Folder, network: &Network, config: &Value) -> Result<()> {
    let tensors: Vec<_> = network.named().into_iter().collect();
    let config = checksum(json(config)?.as_bytes());
    folder.write(FILE, |path| sealed::write(path, (CONFIG, &config), &tensors))
}

/// The network of a finished run.
pub fn read(run: &Path, device: Device) -> Result<(Description, Network)> {
    let read = || -> Result<_> {
        let config = input::bytes(&run.join(description::FILE)).context(description::FILE)?;
        let (written, weights) = file(run)?;
        let found = checksum(&config);
        ensure!(
            found == written,
            "{} was changed after the run: expected checksum {written} (in {FILE}), found {found}",
            description::FILE
        );
        let description: Description = serde_json::from_slice(&config).context(description::FILE)?;
        let design = description.training.design(description.inputs, description.outputs.len() as i64);
        let network = Network::new(&design, device)?;
        network.restore(|name| weights.get(name).map(Tensor::shallow_clone))?;
        Ok((description, network))
    };
    read().with_context(|| format!("cannot use the run in {}", run.display()))
}

fn file(run: &Path) -> Result<(String, HashMap<String, Tensor>)> {
    let path = run.join(FILE);
    if !path.exists() {
        ensure!(
            !run.join(checkpoint::FILE).exists(),
            "it is not finished; train --resume finishes it, unless it is still running"
        );
        bail!("it is not finished: there is no {FILE}");
    }
    input::bytes(&path).and_then(|file| sealed::read(&file, CONFIG)).context(FILE)
}

/// CRC-32C.
fn checksum(config: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(config))
}
