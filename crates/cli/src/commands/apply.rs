//! `evaluate` and `predict`: a trained network on a table.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind};

use crate::cli::args::{Applied, Evaluate, Predict};
use crate::data::{self, Features, Table};
use crate::input;
use crate::model::network::Network;
use crate::report::predictions::{write_csv, write_npz};
use crate::report::terminal;
use crate::run::checkpoint;
use crate::run::description::{self, Description};
use crate::run::evaluate::{self, Scores};
use crate::run::output::{Folder, WEIGHTS};

fn load(run: &Path, device: Device) -> Result<(Description, Network)> {
    let read = || -> Result<_> {
        let description = Description::read(run)?;
        let path = run.join(WEIGHTS);
        if !path.exists() {
            ensure!(!run.join(checkpoint::FILE).exists(), "it is not finished; train --resume finishes it");
            bail!("it is not finished: there is no {WEIGHTS}");
        }
        let weights = input::bytes(&path).and_then(|file| data::tensors(&file)).context(WEIGHTS)?;
        let design = description.training.design(description.inputs, description.outputs.len() as i64);
        // Before a network is made that may be too large.
        let expected = design.count().context(description::FILE)?;
        let found: i64 = weights.values().map(|weight| weight.numel() as i64).sum();
        ensure!(
            found == expected,
            "{} is of a network of {expected} numbers, {WEIGHTS} has {found}",
            description::FILE
        );
        let network = Network::new(&design, device)?;
        network.restore(|name| weights.get(name).map(|weight| weight.shallow_clone()))?;
        Ok((description, network))
    };
    read().with_context(|| format!("cannot use the run in {}", run.display()))
}

/// Which of these the name that `--to` gives ends in.
fn ending<'a>(to: &Path, endings: &[&'a str]) -> Result<&'a str> {
    let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = endings.iter().find(|ending| name.ends_with(**ending));
    found.copied().with_context(|| format!("--to {}: its name must end in {}", to.display(), endings.join(" or ")))
}

/// `--to` must name none of the files that are read.
fn keep_inputs(Applied { run, source, .. }: &Applied, to: &Path) -> Result<()> {
    let config = run.join(description::FILE);
    let inputs = [source.files(), vec![config.as_path()]].concat();
    input::keep(&inputs, &[to.to_owned()], &format!("--to {}", to.display()))
}

pub fn evaluate(Evaluate { what, to }: &Evaluate) -> Result<()> {
    let Applied { run, source, device } = what;
    if let Some(to) = to {
        ending(to, &[".json"])?;
        keep_inputs(what, to)?;
    }
    let device = device.device()?;
    let (description, network) = load(run, device)?;
    let table = Table::read(source)?;
    description.check(&table.features)?;
    let (expected, found) = (&description.outputs, &table.label_names);
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
        None => evaluate::evaluate(&network, &table, &rows)?,
    };
    terminal::print(terminal::scores(&evaluation))
}

pub fn predict(Predict { what, to }: &Predict) -> Result<()> {
    let Applied { run, source, device } = what;
    let ending = ending(to, &[".csv", ".npz"])?;
    keep_inputs(what, to)?;
    let device = device.device()?;
    let (description, network) = load(run, device)?;
    let features = Features::read(source, &description.outputs)?;
    description.check(&features)?;
    let (folder, name) = Folder::of(to).context("--to")?;
    let rows: Vec<i64> = (0..features.rows()).collect();
    let probabilities = evaluate::logits(&network, &features.to_device(device), &rows)
        .sigmoid()
        .to_device(Device::Cpu)
        .to_kind(Kind::Float);
    folder.write(name, |path| match ending {
        ".npz" => write_npz(path, &probabilities, &description.outputs),
        _ => write_csv(path, None, &probabilities, &description.outputs),
    })
}
