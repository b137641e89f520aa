//! Trains a multilayer perceptron on a table in which many labels are missing; `--help` tells more.

mod args;
mod data;
mod demo;
mod evaluate;
mod fit;
mod network;
mod objective;
mod output;
mod report;
mod split;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use serde_json::{Value, json};
use tch::Device;

use args::{Arguments, Source, Training};
use data::Table;
use evaluate::evaluate;
use fit::{Fit, fit};
use output::Folder;
use split::Split;

fn main() -> ExitCode {
    let Arguments { source, training, policies, device } = Arguments::parse();
    let run = device.device().and_then(|device| match &source {
        Some(source) => train(source, &training, device),
        None if policies => demo::policies(&training, device),
        None => demo::run(&training, device),
    });
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What libtorch says goes on with a stack trace.
            eprintln!("error: {}", format!("{error:#}").lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn train(source: &Source, training: &Training, device: Device) -> Result<()> {
    let folder = source.out.as_deref().map(Folder::create).transpose()?;
    let table = Table::read(source)?;
    let split = Split::of(&table, training.seed)?;
    report::print(summary(&table, &split, device)?)?;
    let table = table.to_device(device)?;

    let Fit { network, best_epoch, history } = fit(&table, &split, training)?;
    let validation = evaluate(&network, &table, &split.validation)?;
    let test = evaluate(&network, &table, &split.test)?;
    // Files first: whoever reads the output may be gone.
    if let Some(folder) = folder {
        let metrics = json!({
            "best_epoch": best_epoch,
            "test": serde_json::to_value(&test)?,
            "validation": serde_json::to_value(&validation)?,
            "history": serde_json::to_value(&history)?,
        });
        let config = configuration(source, training, device, &table, &split)?;
        folder.clear(&["metrics.json", "config.json"])?;
        folder.write("weights.safetensors", |path| Ok(network.weights.save(path)?))?;
        folder.write_json("config.json", &config)?;
        folder.write_json("metrics.json", &metrics)?;
    }
    report::print(format_args!(
        "Test rows, with the weights of epoch {best_epoch}, the best on the validation rows:\n{}",
        report::labels(&test)
    ))
}

/// What was asked for, and what it takes to use the weights.
fn configuration(source: &Source, training: &Training, device: Device, table: &Table, split: &Split) -> Result<Value> {
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": serde_json::to_value(source)?,
        "training": serde_json::to_value(training)?,
        "device": format!("{device:?}"),
        "inputs": table.features.size()[1],
        "outputs": table.label_names,
        "rows": { "train": split.train.len(), "validation": split.validation.len(), "test": split.test.len() },
    }))
}

fn summary(table: &Table, split: &Split, device: Device) -> Result<String> {
    let (rows, features, labels) = (table.rows(), table.features.size()[1], table.label_names.len());
    let observed = table.labels.observed_count()?.double_value(&[]) / (rows as f64 * labels as f64);
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
    Ok(format!(
        "{rows} rows ({train} train, {validation} validation, {test} test), {features} features, {labels} labels, \
         {:.2} % observed; on {device:?}",
        100.0 * observed
    ))
}
