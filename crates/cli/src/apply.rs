//! `evaluate` and `predict`: a network that was trained before.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::args::{Applied, Evaluate, Predict, Training};
use crate::data::{Features, Table};
use crate::evaluate::{Scores, evaluate as score, logits};
use crate::network::Network;
use crate::output::Folder;
use crate::report;

/// What a run's folder tells of its network.
#[derive(Deserialize)]
struct Config {
    training: Training,
    inputs: i64,
    /// Their names, where the table had any.
    #[serde(default)]
    features: Option<Vec<String>>,
    outputs: Vec<String>,
}

fn load(run: &Path, device: Device) -> Result<(Config, Network)> {
    let read = || -> Result<_> {
        let file = File::open(run.join("config.json")).context("config.json")?;
        let config: Config = serde_json::from_reader(file).context("config.json")?;
        let (inputs, outputs) = (config.inputs, config.outputs.len() as i64);
        let weights = Tensor::read_safetensors(run.join("weights.safetensors")).context("weights.safetensors")?;
        // Before a network is made that may be too large.
        let expected = Network::count(inputs, outputs, &config.training).context("config.json")?;
        let found: i64 = weights.iter().map(|(_, weight)| weight.numel() as i64).sum();
        ensure!(
            found == expected,
            "config.json is of a network of {expected} numbers, weights.safetensors has {found}"
        );
        let network = Network::new(inputs, outputs, &config.training, device)?;
        network.restore(|name| {
            weights.iter().find(|(known, _)| known == name).map(|(_, weight)| weight.shallow_clone())
        })?;
        Ok((config, network))
    };
    read().with_context(|| format!("cannot use the run in {}", run.display()))
}

fn check(config: &Config, features: &Features) -> Result<()> {
    let (expected, found) = (config.inputs, features.width());
    ensure!(expected == found, "the network takes {expected} features, and the table has {found}");
    let (Some(expected), Some(found)) = (&config.features, features.names()) else { return Ok(()) };
    match expected.iter().zip(found).position(|(expected, found)| expected != found) {
        Some(i) => bail!("feature {} of the network is {:?}, and that of the table {:?}", i + 1, expected[i], found[i]),
        None => Ok(()),
    }
}

/// Which of these the name that `--to` gives ends in.
fn ending<'a>(to: &Path, endings: &[&'a str]) -> Result<&'a str> {
    let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = endings.iter().find(|ending| name.ends_with(**ending));
    found.copied().with_context(|| format!("--to {}: its name must end in {}", to.display(), endings.join(" or ")))
}

pub fn evaluate(Evaluate { what: Applied { run, source, device }, to }: &Evaluate) -> Result<()> {
    if let Some(to) = to {
        ending(to, &[".json"])?;
    }
    let device = device.device()?;
    let (config, network) = load(run, device)?;
    let table = Table::read(source)?;
    check(&config, &table.features)?;
    let (expected, found) = (&config.outputs, &table.label_names);
    ensure!(expected == found, "the network was trained on the labels {expected:?}, and the table has {found:?}");
    let to = to.as_deref().map(Folder::of).transpose().context("--to")?;
    let rows: Vec<i64> = (0..table.rows()).collect();
    let table = table.to_device(device)?;
    let evaluation = match to {
        Some((folder, name)) => {
            let scores = Scores::of(&network, &table, &rows)?;
            folder.write_json(name, &scores)?;
            scores.evaluation
        }
        // Calibration is not printed.
        None => score(&network, &table, &rows)?,
    };
    report::print(report::labels(&evaluation))
}

pub fn predict(Predict { what: Applied { run, source, device }, to }: &Predict) -> Result<()> {
    let ending = ending(to, &[".csv", ".npz"])?;
    let device = device.device()?;
    let (config, network) = load(run, device)?;
    let features = Features::read(source, &config.outputs)?;
    check(&config, &features)?;
    let (folder, name) = Folder::of(to).context("--to")?;
    let rows: Vec<i64> = (0..features.rows()).collect();
    let probabilities =
        logits(&network, &features.to_device(device), &rows).sigmoid().to_device(Device::Cpu).to_kind(Kind::Float);
    folder.write(name, |path| match ending {
        ".npz" => write_npz(path, &probabilities, &config.outputs),
        _ => write_csv(path, None, &probabilities, &config.outputs),
    })
}

/// `rows`: their numbers in the table, for a column before the others.
pub fn write_csv(path: &Path, rows: Option<&[i64]>, probabilities: &Tensor, labels: &[String]) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(rows.map(|_| "row").into_iter().chain(labels.iter().map(String::as_str)))?;
    for (position, row) in probabilities.to_kind(Kind::Float).split(1, 0).iter().enumerate() {
        writer.serialize((rows.map(|rows| rows[position]).as_slice(), Vec::<f32>::try_from(row.reshape([-1]))?))?;
    }
    Ok(writer.flush()?)
}

fn write_npz(path: &Path, probabilities: &Tensor, labels: &[String]) -> Result<()> {
    use npyz::WriterBuilder;
    let mut archive = npyz::npz::NpzWriter::create(path)?;
    let shape: Vec<u64> = probabilities.size().into_iter().map(|length| length as u64).collect();
    let numbers = Vec::<f32>::try_from(probabilities.reshape([-1]))?;
    let mut array = archive.array("P", Default::default())?.default_dtype().shape(&shape).begin_nd()?;
    array.extend(numbers)?;
    array.finish()?;
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(1);
    let dtype = npyz::DType::Plain(format!("<U{width}").parse()?);
    let mut array =
        archive.array("labels", Default::default())?.dtype(dtype).shape(&[labels.len() as u64]).begin_nd()?;
    for label in labels {
        array.push(label.as_str())?;
    }
    array.finish()?;
    Ok(())
}
