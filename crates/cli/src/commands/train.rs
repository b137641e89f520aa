//! `train`: one table, one network.

use std::fs;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde::Serialize;
use tch::Device;

use crate::cli::args::Train;
use crate::cli::config;
use crate::data::{Table, leaks};
use crate::input;
use crate::note::note;
use crate::report::results::Results;
use crate::report::{files, terminal};
use crate::run::evaluate::Scores;
use crate::run::fit::{Fit, Outcome, Run};
use crate::run::output::Folder;
use crate::run::progress::Epoch;
use crate::run::split::{self, Split};
use crate::run::stop::Stop;
use crate::run::{checkpoint, description, events, weights};

const METRICS: &str = "metrics.json";
/// The options of the run, for `--config`.
const OPTIONS: &str = "run.toml";

#[derive(Serialize)]
struct Metrics<'a> {
    best_epoch: u64,
    history: &'a [Epoch],
    test: &'a Scores,
    validation: &'a Scores,
}

pub fn run(arguments: &Train) -> Result<ExitCode> {
    let Train { source, splitting, training, out, resume, .. } = arguments;
    if let Some(out) = out {
        for path in source.files().into_iter().chain(splitting.split_file.as_deref()) {
            ensure!(path.to_str().is_some(), "--out needs input paths in Unicode, found {}", path.display());
        }
        let own = [METRICS, weights::FILE, OPTIONS, description::FILE, split::FILE, checkpoint::FILE, events::FILE];
        let outputs: Vec<_> = own.iter().chain(&files::ALL).map(|name| out.join(name)).collect();
        input::keep(&source.files(), &outputs, &format!("--out {}", out.display()))?;
    }
    if let (true, Some(out)) = (*resume, out) {
        // Before a folder is created.
        checkpoint::find(out)?;
    }
    let device = training.start()?;
    let folder = out.as_deref().map(Folder::lock).transpose()?;
    let table = Table::read(source)?;
    leaks::notes(&table)?.iter().for_each(note);
    let split = Split::of(&table, splitting, training.seed)?;
    let summary = summary(&table, &split, device)?;
    let printed = terminal::print(summary)
        .and_then(|()| split::remark(&table, &split, splitting).map_or(Ok(()), terminal::print));
    // Writing the files does not depend on standard output: if printing fails, the run continues.
    let unprinted = if folder.is_some() { printed.err() } else { printed.map(|()| None)? };
    let description = folder.as_ref().map(|_| description::describe(arguments, device, &table, &split)).transpose()?;
    let table = table.to_device(device)?;
    let mut run = Run::new(&table, &split, training)?;
    if let (Some(folder), Some(description)) = (&folder, &description) {
        folder.sweep()?;
        if *resume {
            description::check_same_table(folder, description)?;
            run.resume(folder)?;
            let began = Split::read(&folder.path().join(split::FILE), table.rows())?;
            ensure!(began == split, "the checkpoint was made with a different split; see {} beside it", split::FILE);
        }
        // First the files that mark the folder as one finished run.
        folder.clear(&[METRICS, weights::FILE])?;
        folder.clear(&files::ALL)?;
        if !*resume {
            // These belong to an earlier run.
            folder.clear(&[checkpoint::FILE, events::FILE])?;
            folder.write(split::FILE, |path| split.write(path))?;
        }
        folder.write_json(description::FILE, description)?;
        let options = config::to_toml(arguments)?;
        folder.write(OPTIONS, |path| Ok(fs::write(path, options)?))?;
    }
    let stop = folder.as_ref().map(|_| Stop::on_signals()).transpose()?;
    let trained = run.train(folder.as_ref().zip(stop.as_ref()))?;
    stop.iter().for_each(Stop::at_once);
    let Fit { network, best_epoch, history } = match trained {
        Outcome::Trained(fit) => fit,
        Outcome::Stopped(status) => {
            // The exit status of the signal matters more than an error in printing.
            let _ = terminal::print("Stopped after writing a checkpoint; --resume continues the run.");
            return Ok(ExitCode::from(status));
        }
    };
    let test = Scores::of(&network, &table, &split.test)?;
    // Files first: the reader of the output may be gone.
    if let (Some(folder), Some(description)) = (&folder, &description) {
        let validation = Scores::of(&network, &table, &split.validation)?;
        weights::write(folder, &network, description)?;
        let (table, split, history, test) = (&table, &split, &history, &test);
        let results = Results { table, split, training, description, best_epoch, history, test, network: &network };
        files::write(&results, folder)?;
        folder.write_json(METRICS, &Metrics { best_epoch, history, test, validation: &validation })?;
    }
    unprinted.map_or(Ok(()), Err)?;
    terminal::print(format_args!(
        "Test rows, with the weights of epoch {best_epoch}, the best on the validation rows:\n{}",
        terminal::scores(&test.evaluation)
    ))?;
    if let Some(folder) = folder {
        terminal::print(format_args!("Charts and tables: {}", folder.path().join(files::PAGE).display()))?;
    }
    Ok(ExitCode::SUCCESS)
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
