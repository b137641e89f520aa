//! `config.json`: the options of a run, and all that is needed to use its weights.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tch::Device;

use super::output::Folder;
use super::split::Split;
use crate::cli::args::Train;
use crate::cli::training::Training;
use crate::data::{Features, Table};
use crate::input;
use crate::note::note;

pub const FILE: &str = "config.json";
/// The key of the checksum of the cells.
const CHECKSUM: &str = "checksum";

/// The content of a new run's file.
pub fn describe(arguments: &Train, device: Device, table: &Table, split: &Split) -> Result<Value> {
    let Train { source, splitting, training, .. } = arguments;
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": serde_json::to_value(source)?,
        "splitting": serde_json::to_value(splitting)?,
        "training": serde_json::to_value(training)?,
        "device": format!("{device:?}"),
        "inputs": table.features.width(),
        "features": table.features.names(),
        "outputs": table.label_names,
        "numbered_outputs": table.numbered,
        "rows": { "train": split.train.len(), "validation": split.validation.len(), "test": split.test.len() },
        CHECKSUM: table.checksum()?,
    }))
}

/// The part of `config.json` that describes the network.
#[derive(Deserialize)]
pub struct Description {
    pub training: Training,
    pub inputs: i64,
    /// Names of the inputs, if the table had any.
    #[serde(default)]
    features: Option<Vec<String>>,
    pub outputs: Vec<String>,
    /// Whether these are numbers, because the table had no names.
    #[serde(default)]
    numbered_outputs: bool,
}

impl Description {
    /// Fails unless the features match the network's.
    pub fn check(&self, features: &Features) -> Result<()> {
        let (expected, found) = (self.inputs, features.width());
        if expected != found {
            let names = self.features.as_deref().zip(features.names());
            let differences = names.map(|(ours, theirs)| differences(ours, theirs)).unwrap_or_default();
            let colon = if differences.is_empty() { "" } else { ": " };
            bail!("the network takes {expected} features, and the table has {found}{colon}{differences}");
        }
        let (expected, found) = match (&self.features, features.names()) {
            (Some(expected), Some(found)) => (expected, found),
            (Some(_), None) => {
                note("the table has no feature names: its features are taken in the network's order");
                return Ok(());
            }
            (None, Some(_)) => {
                note("the network has no feature names: it takes the table's features in their order");
                return Ok(());
            }
            (None, None) => return Ok(()),
        };
        match expected.iter().zip(found).position(|(expected, found)| expected != found) {
            Some(i) => bail!("feature {} is {:?} in the network and {:?} in the table", i + 1, expected[i], found[i]),
            None => Ok(()),
        }
    }

    /// The names of the labels, if the table had any: in another table, the numbers of unnamed labels may name
    /// features.
    pub fn label_names(&self) -> &[String] {
        if self.numbered_outputs { &[] } else { &self.outputs }
    }

    /// Fails unless the labels are the network's, in the same order.
    pub fn check_labels(&self, found: &[String]) -> Result<()> {
        let expected = &self.outputs;
        if expected == found {
            return Ok(());
        }
        let differences = differences(expected, found);
        ensure!(!differences.is_empty(), "the table has the labels of the network in another order");
        bail!("the labels of the table differ from those of the network: {differences}")
    }
}

/// The names that only one side has; empty if there are none.
fn differences(expected: &[String], found: &[String]) -> String {
    let parts = [("missing", without(expected, found)), ("unexpected", without(found, expected))];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| listed(what, names));
    parts.collect::<Vec<_>>().join("; ")
}

fn without<'a>(names: &'a [String], others: &[String]) -> Vec<&'a str> {
    let others: HashSet<_> = others.iter().collect();
    names.iter().filter(|name| !others.contains(name)).map(String::as_str).collect()
}

/// Their count and the first of them.
fn listed(what: &str, names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{} {what} ({}{more})", names.len(), names[..names.len().min(SHOWN)].join(", "))
}

/// Fails unless the run in the folder used the table that `now` describes.
pub fn check_same_table(folder: &Folder, now: &Value) -> Result<()> {
    let path = folder.path().join(FILE);
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&input::bytes(&path)?)?) };
    let began = read().with_context(|| format!("cannot resume from {}", path.display()))?;
    for part in ["/inputs", "/features", "/outputs", "/source/threshold", "/source/missing_value", "/source/bits"] {
        let (began, now) = (began.pointer(part), now.pointer(part));
        ensure!(
            began == now,
            "the checkpoint was made with a different table: {} in {FILE} is {}, now {}",
            &part[1..],
            start_of(began),
            start_of(now)
        );
    }
    // Files of earlier versions have no checksum.
    if let Some(began) = began.get(CHECKSUM) {
        let now = &now[CHECKSUM];
        ensure!(
            began == now,
            "the checkpoint was made with a different table: its cells or their types differ \
             ({CHECKSUM} {began} in {FILE}, now {now})"
        );
    }
    Ok(())
}

/// The start of a long value.
fn start_of(part: Option<&Value>) -> String {
    let text = part.map_or_else(|| "missing".to_owned(), Value::to_string);
    if text.chars().count() > 80 { text.chars().take(80).chain("...".chars()).collect() } else { text }
}
