//! Options in a TOML file.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use toml::Value;

use super::args::Train;
use super::names::Names;
use super::source::Source;
use super::splitting::Splitting;
use super::training::Training;
use crate::input;

#[derive(Serialize)]
struct Options<'a> {
    #[serde(flatten)]
    source: &'a Source,
    #[serde(flatten)]
    splitting: &'a Splitting,
    #[serde(flatten)]
    training: &'a Training,
}

/// The options of a run, given or by default, as `--config` takes them.
pub fn to_toml(Train { source, splitting, training, .. }: &Train) -> Result<String> {
    Ok(toml::to_string(&Options { source, splitting, training })?)
}

/// The options of the split: one on the command line replaces all of them in the file.
const SPLITTING: [&str; 7] = ["--split", "--group", "--split-by", "--fractions", "--folds", "--fold", "--split-file"];

/// The command line, after the options of `--config FILE` that it does not override. So clap checks both, and reports
/// errors in the same words.
pub fn arguments() -> Result<Vec<OsString>> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let Some(file) = config_file(&given) else { return Ok(given) };
    let options = read(Path::new(&file)).with_context(|| format!("cannot use {}", file.to_string_lossy()))?;
    let on_line: Vec<_> = given.iter().filter_map(|argument| argument.to_str()?.split('=').next()).collect();
    let splits = SPLITTING.iter().any(|flag| on_line.contains(flag));
    let replaced = |flag: &str| on_line.contains(&flag) || (splits && SPLITTING.contains(&flag));
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
fn read(file: &Path) -> Result<Vec<(String, Option<String>)>> {
    let table = input::text(file)?.parse::<toml::Table>();
    let table = table.map_err(|error| anyhow!("it is not TOML: {}", error.message()))?;
    let mut options = Vec::new();
    for (name, value) in table {
        let flag = format!("--{}", name.replace('_', "-"));
        match value {
            Value::Boolean(true) => options.push((flag, None)),
            Value::Boolean(false) => {}
            Value::Array(values) if values.is_empty() => {}
            value => options.push((flag, Some(argument(&name, &value)?))),
        }
    }
    Ok(options)
}

fn argument(name: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(values) => {
            let values = values.iter().map(|value| argument(name, value)).collect::<Result<_>>()?;
            Names(values).to_string()
        }
        _ => bail!("{name} is a {}: expected a number, a string, true, false or a list", value.type_str()),
    })
}
