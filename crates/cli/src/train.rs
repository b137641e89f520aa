//! `train`: one table, one network.

use std::fs;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tch::Device;

use crate::args::{Train, Training};
use crate::checkpoint;
use crate::config;
use crate::data::Table;
use crate::evaluate::Scores;
use crate::fit::{Fit, Run, STOP};
use crate::output::Folder;
use crate::report;
use crate::results::{self, Results};
use crate::source::{Source, Splitting};
use crate::split::{self, Split};

const METRICS: &str = "metrics.json";
/// In the configuration: what changes with the table's cells.
const CHECKSUM: &str = "checksum";

pub fn run(arguments: &Train) -> Result<()> {
    let Train { source, splitting, training, out, resume, .. } = arguments;
    let device = training.start()?;
    let folder = out.as_deref().map(Folder::create).transpose()?;
    let table = Table::read(source)?;
    let split = Split::of(&table, splitting, training.seed)?;
    report::print(summary(&table, &split, device)?)?;
    let mut config = configuration(source, splitting, training, device, &table, &split)?;
    if folder.is_some() {
        config[CHECKSUM] = table.checksum()?.into();
    }
    let table = table.to_device(device)?;
    let mut run = Run::new(&table, &split, training)?;
    if let Some(folder) = &folder {
        folder.sweep()?;
        // What an earlier run left is of another network.
        if *resume {
            same_table(folder, &config)?;
            run.resume(folder)?;
            let began = Split::read(&folder.path().join(split::FILE), table.rows())?;
            ensure!(began == split, "the checkpoint is of a run with another split; see {} beside it", split::FILE);
        } else {
            folder.clear(&[METRICS, "weights.safetensors", checkpoint::FILE])?;
            folder.clear(&results::FILES)?;
            folder.write(split::FILE, |path| split.write(path))?;
        }
        folder.write_json("config.json", &config)?;
        config::write(arguments, folder)?;
        // A second Ctrl-C ends at once.
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
    }
    let Some(Fit { network, best_epoch, history }) = run.train(folder.as_ref())? else {
        return report::print("Stopped, with a checkpoint of the last step; --resume goes on.");
    };
    let test = Scores::of(&network, &table, &split.test)?;
    // Files first: whoever reads the output may be gone.
    if let Some(folder) = &folder {
        let validation = Scores::of(&network, &table, &split.validation)?;
        let metrics = json!({
            "best_epoch": best_epoch,
            "test": serde_json::to_value(&test)?,
            "validation": serde_json::to_value(&validation)?,
            "history": serde_json::to_value(&history)?,
        });
        // Of an earlier end that was gone on from.
        folder.clear(&[METRICS])?;
        folder.write("weights.safetensors", |path| Ok(network.weights.save(path)?))?;
        let (table, split, config, history, test) = (&table, &split, &config, &history, &test);
        Results { table, split, training, config, best_epoch, history, test }.write(folder)?;
        folder.write_json(METRICS, &metrics)?;
    }
    report::print(format_args!(
        "Test rows, with the weights of epoch {best_epoch}, the best on the validation rows:\n{}",
        report::labels(&test.evaluation)
    ))?;
    match folder {
        Some(folder) => {
            report::print(format_args!("Charts and tables: {}", folder.path().join(results::PAGE).display()))
        }
        None => Ok(()),
    }
}

impl Training {
    /// Sets up libtorch as asked for.
    pub fn start(&self) -> Result<Device> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        if let Some(rows) = self.micro_batch {
            ensure!(rows <= self.batch_size, "--micro-batch {rows} is above --batch-size {}", self.batch_size);
        }
        self.device.device().context("--device")
    }
}

/// A part of a configuration, the start of a long one.
fn shown(part: Option<&Value>) -> String {
    let text = part.map_or_else(|| "not there".to_owned(), Value::to_string);
    if text.chars().count() > 80 { text.chars().take(80).chain("...".chars()).collect() } else { text }
}

/// Whether a run that is gone on with was of this table.
fn same_table(folder: &Folder, config: &Value) -> Result<()> {
    let path = folder.path().join("config.json");
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
    let began = read().with_context(|| format!("cannot go on from {}", path.display()))?;
    for part in ["/inputs", "/features", "/outputs", "/source/threshold", "/source/missing_value", "/source/bits"] {
        let (began, now) = (began.pointer(part), config.pointer(part));
        ensure!(
            began == now,
            "the checkpoint is of a run on another table: {} in config.json is {}, now {}",
            &part[1..],
            shown(began),
            shown(now)
        );
    }
    // Runs of earlier versions have none.
    if let Some(began) = began.get(CHECKSUM) {
        let now = &config[CHECKSUM];
        ensure!(
            began == now,
            "the checkpoint is of a run on another table: its cells differ, or how its file holds them \
             ({CHECKSUM} {began} in config.json, now {now})"
        );
    }
    Ok(())
}

/// What was asked for, and what it takes to use the weights.
fn configuration(
    source: &Source,
    splitting: &Splitting,
    training: &Training,
    device: Device,
    table: &Table,
    split: &Split,
) -> Result<Value> {
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": serde_json::to_value(source)?,
        "splitting": serde_json::to_value(splitting)?,
        "training": serde_json::to_value(training)?,
        "device": format!("{device:?}"),
        "inputs": table.features.width(),
        "features": table.features.names(),
        "outputs": table.label_names,
        "rows": { "train": split.train.len(), "validation": split.validation.len(), "test": split.test.len() },
    }))
}

fn summary(table: &Table, split: &Split, device: Device) -> Result<String> {
    let (rows, features, labels) = (table.rows(), table.features.width(), table.label_names.len());
    let observed = table.labels.observed_count()?.double_value(&[]) / (rows as f64 * labels as f64);
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
    Ok(format!(
        "{rows} rows ({train} train, {validation} validation, {test} test), {features} features, {labels} labels, \
         {:.2} % observed; on {device:?}",
        100.0 * observed
    ))
}
