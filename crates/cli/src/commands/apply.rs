//! `evaluate` and `predict`: a trained network on a table.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::args::{Applied, Evaluate, Predict};
use crate::cli::source::Source;
use crate::data::{Features, Table};
use crate::input;
use crate::report::predictions::{write_csv, write_npz, write_top_csv};
use crate::report::terminal;
use crate::run::description;
use crate::run::evaluate::{self, Scores};
use crate::run::output::Folder;
use crate::run::predict::{self, Fault, Part, Wanted};
use crate::run::weights;

/// The one of `endings` with which the file name of `--to` ends.
fn ending<'a>(to: &Path, endings: &[&'a str]) -> Result<&'a str> {
    let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = endings.iter().find(|ending| name.ends_with(**ending));
    found.copied().with_context(|| format!("--to {}: its name must end in {}", to.display(), endings.join(" or ")))
}

/// `--to` must not name an input file.
fn keep_inputs(Applied { run, source, .. }: &Applied, to: &Path) -> Result<()> {
    let read = [description::FILE, weights::FILE].map(|name| run.join(name));
    let inputs = [source.files(), read.iter().map(PathBuf::as_path).collect()].concat();
    input::keep(&inputs, &[to.to_owned()], &format!("--to {}", to.display()))
}

pub fn evaluate(Evaluate { what, to }: &Evaluate) -> Result<()> {
    let Applied { run, source, device } = what;
    if let Some(to) = to {
        ending(to, &[".json"])?;
        keep_inputs(what, to)?;
    }
    let device = device.device()?;
    let (description, network) = weights::read(run, device)?;
    let source = Source { known_labels: Some(description.outputs.clone()), ..source.clone() };
    let table = Table::read(&source)?;
    // A label that --labels does not name is read as a feature.
    description.check_labels(&table.label_names)?;
    description.check(&table.features)?;
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

pub fn predict(Predict { what, to, top }: &Predict) -> Result<()> {
    let Applied { run, source, device } = what;
    let ending = ending(to, &[".csv", ".npz"])?;
    keep_inputs(what, to)?;
    let device = device.device()?;
    let (description, network) = weights::read(run, device)?;
    let features = Features::read(source, description.label_names())?;
    description.check(&features)?;
    let (folder, name) = Folder::of(to).context("--to")?;
    let rows: Vec<i64> = (0..features.rows()).collect();
    let (features, labels) = (features.to_device(device), &description.outputs);
    let width = top.map_or(labels.len(), |top| labels.len().min(top as usize));
    let wanted = top.map_or(Wanted::All, |_| Wanted::Top(width as i64));
    let parts = predict::predict(&network, &features, &rows, wanted).map(|part| finite(part, labels));
    folder.write(name, |path| match (ending, top.is_some()) {
        (".npz", top) => write_npz(path, [rows.len(), width], top, labels, parts),
        (_, true) => write_top_csv(path, labels, parts),
        (_, false) => write_csv(path, false, labels, parts).map(drop),
    })
}

/// Fails if a logit is not finite.
fn finite<'a>(part: Part<'a>, names: &[String]) -> Result<Part<'a>> {
    match part.fault {
        None => Ok(part),
        Some(Fault { row, label, logit }) => Err(evaluate::not_finite(&names[label], part.rows[row], logit)),
    }
}
