//! Options from a file, and into one.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use toml::{Table, Value};

use crate::args::{Train, Training};
use crate::names::Names;
use crate::output::Folder;
use crate::source::{Source, Splitting};

/// What a run was told and what it took by default, for `--config`.
pub const FILE: &str = "run.toml";

#[derive(Serialize)]
struct Options<'a> {
    #[serde(flatten)]
    source: &'a Source,
    #[serde(flatten)]
    splitting: &'a Splitting,
    #[serde(flatten)]
    training: &'a Training,
}

pub fn write(Train { source, splitting, training, .. }: &Train, folder: &Folder) -> Result<()> {
    let options = toml::to_string(&Options { source, splitting, training })?;
    folder.write(FILE, |path| Ok(fs::write(path, options)?))
}

/// The options that say which rows are for what: one on the command line stands for all of them in the file.
const SPLITTING: [&str; 7] = ["--split", "--group", "--split-by", "--fractions", "--folds", "--fold", "--split-file"];

/// The command line, with the options of `--config FILE` that it does not give itself put before its own, so that clap has
/// one word for what is wrong, wherever it stands.
pub fn arguments() -> Result<Vec<OsString>> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let Some(file) = config_file(&given) else { return Ok(given) };
    let options = options(Path::new(&file)).with_context(|| format!("cannot use {}", file.to_string_lossy()))?;
    let told: Vec<_> = given.iter().filter_map(|argument| argument.to_str()?.split('=').next()).collect();
    let splits = SPLITTING.iter().any(|flag| told.contains(flag));
    let replaced = |flag: &str| told.contains(&flag) || (splits && SPLITTING.contains(&flag));
    let left = options.into_iter().filter(|(flag, _)| !replaced(flag));
    let left = left.map(|(flag, value)| value.map_or_else(|| flag.clone(), |value| format!("{flag}={value}")).into());
    // After the name of the program and that of the command.
    let (head, tail) = given.split_at(2.min(given.len()));
    Ok(head.iter().cloned().chain(left).chain(tail.iter().cloned()).collect())
}

fn config_file(arguments: &[OsString]) -> Option<OsString> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().cloned();
        }
        if let Some(file) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    None
}

/// Flags with their values.
fn options(file: &Path) -> Result<Vec<(String, Option<String>)>> {
    let table = fs::read_to_string(file)?.parse::<Table>();
    let table = table.map_err(|error| anyhow!("it is no TOML: {}", error.message()))?;
    let mut options = Vec::new();
    for (name, value) in table {
        let flag = format!("--{}", name.replace('_', "-"));
        match value {
            Value::Boolean(true) => options.push((flag, None)),
            Value::Boolean(false) => {}
            Value::Array(values) if values.is_empty() => {}
            value => options.push((flag, Some(text(&name, &value)?))),
        }
    }
    Ok(options)
}

fn text(name: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(values) => {
            let values = values.iter().map(|value| text(name, value)).collect::<Result<_>>()?;
            Names(values).to_string()
        }
        _ => bail!("{name} is a {}: expected a number, a string, true, false or a list", value.type_str()),
    })
}
