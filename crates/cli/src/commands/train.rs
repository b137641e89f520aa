//! `train`: one table, one network.

use std::fs;
use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};
use serde_json::json;
use tch::Device;

use crate::cli::args::Train;
use crate::cli::config;
use crate::data::Table;
use crate::input;
use crate::report::results::Results;
use crate::report::{files, terminal};
use crate::run::evaluate::Scores;
use crate::run::fit::{Fit, Run, STOP};
use crate::run::output::{Folder, WEIGHTS};
use crate::run::split::{self, Split};
use crate::run::{checkpoint, description, events};

const METRICS: &str = "metrics.json";
/// The options of the run, for `--config`.
const OPTIONS: &str = "run.toml";

pub fn run(arguments: &Train) -> Result<()> {
    let Train { source, splitting, training, out, resume, .. } = arguments;
    if let Some(out) = out {
        let own = [METRICS, WEIGHTS, OPTIONS, description::FILE, split::FILE, checkpoint::FILE, events::FILE];
        let outputs: Vec<_> = own.iter().chain(&files::ALL).map(|name| out.join(name)).collect();
        input::keep(&source.files(), &outputs, &format!("--out {}", out.display()))?;
    }
    let device = training.start()?;
    let folder = out.as_deref().map(Folder::create).transpose()?;
    let table = Table::read(source)?;
    let split = Split::of(&table, splitting, training.seed)?;
    terminal::print(summary(&table, &split, device)?)?;
    split::ungrouped(&table).map_or(Ok(()), terminal::print)?;
    let description = folder.as_ref().map(|_| description::describe(arguments, device, &table, &split)).transpose()?;
    let table = table.to_device(device)?;
    let mut run = Run::new(&table, &split, training)?;
    if let (Some(folder), Some(description)) = (&folder, &description) {
        folder.sweep()?;
        if *resume {
            description::check_same_table(folder, description)?;
            run.resume(folder)?;
            let began = Split::read(&folder.path().join(split::FILE), table.rows())?;
            ensure!(began == split, "the checkpoint is of a run with another split; see {} beside it", split::FILE);
        } else {
            // An earlier run was of another network.
            folder.clear(&[METRICS, WEIGHTS, checkpoint::FILE, events::FILE])?;
            folder.clear(&files::ALL)?;
            folder.write(split::FILE, |path| split.write(path))?;
        }
        folder.write_json(description::FILE, description)?;
        let options = config::to_toml(arguments)?;
        folder.write(OPTIONS, |path| Ok(fs::write(path, options)?))?;
        // A second Ctrl-C ends at once.
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
    }
    let Some(Fit { network, best_epoch, history }) = run.train(folder.as_ref())? else {
        return terminal::print("Stopped, with a checkpoint of the last step; --resume continues it.");
    };
    let test = Scores::of(&network, &table, &split.test)?;
    // Files first: the reader of the output may be gone.
    if let (Some(folder), Some(description)) = (&folder, &description) {
        let validation = Scores::of(&network, &table, &split.validation)?;
        let metrics = json!({
            "best_epoch": best_epoch,
            "test": serde_json::to_value(&test)?,
            "validation": serde_json::to_value(&validation)?,
            "history": serde_json::to_value(&history)?,
        });
        // A run that was resumed after its end has left one.
        folder.clear(&[METRICS])?;
        folder.write(WEIGHTS, |path| Ok(network.weights.save(path)?))?;
        let (table, split, history, test) = (&table, &split, &history, &test);
        let results = Results { table, split, training, description, best_epoch, history, test };
        files::write(&results, folder)?;
        folder.write_json(METRICS, &metrics)?;
    }
    terminal::print(format_args!(
        "Test rows, with the weights of epoch {best_epoch}, the best on the validation rows:\n{}",
        terminal::scores(&test.evaluation)
    ))?;
    match folder {
        Some(folder) => {
            terminal::print(format_args!("Charts and tables: {}", folder.path().join(files::PAGE).display()))
        }
        None => Ok(()),
    }
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
