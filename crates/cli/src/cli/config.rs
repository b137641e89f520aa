//! Options in a TOML file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::CommandFactory;
use clap::error::ErrorKind;
use serde::Serialize;
use toml::Value;

use super::args::{Arguments, Train};
use super::names::Names;
use super::source::Source;
use super::splitting::Splitting;
use super::training::Training;
use crate::input;
use crate::note::note;

#[derive(Serialize)]
struct Options<'a> {
    #[serde(flatten)]
    source: &'a Source,
    #[serde(flatten)]
    splitting: &'a Splitting,
    #[serde(flatten)]
    training: &'a Training,
}

/// The options of a run, defaults included, in the format of `--config`.
pub fn to_toml(Train { source, splitting, training, .. }: &Train) -> Result<String> {
    Ok(toml::to_string(&Options { source, splitting, training })?)
}

/// The command that takes `--config`.
const TRAIN: &str = "train";

/// The options that choose the split: one on the command line replaces the others in the file. --group is not one of
/// them.
const SPLITTING: [&str; 6] = ["--split", "--split-by", "--fractions", "--folds", "--fold", "--split-file"];

/// The command line, with the options of `--config FILE` that it does not override put before it, so that clap checks
/// both.
pub fn arguments() -> Result<Vec<OsString>> {
    let given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_none_or(|command| command != TRAIN) {
        return Ok(given);
    }
    let Some(file) = config_file(&given)? else { return Ok(given) };
    let options = read(Path::new(&file)).with_context(|| format!("cannot use {}", file.display()))?;
    let on_line: Vec<_> = given.iter().filter_map(|argument| argument.to_str()?.split('=').next()).collect();
    let splits = SPLITTING.iter().any(|flag| on_line.contains(flag));
    // --fold alone keeps the --folds of the file.
    let folds = on_line.contains(&"--fold") && !on_line.contains(&"--folds");
    let replaced =
        |flag: &str| on_line.contains(&flag) || (splits && SPLITTING.contains(&flag) && !(folds && flag == "--folds"));
    let column = options.iter().find(|(flag, _)| flag == "--split" && replaced(flag) && !on_line.contains(&"--split"));
    if let Some((_, Some(column))) = column {
        note(format!("column {column:?} no longer defines the split: --ignore leaves it out of the features"));
    }
    let left = options.into_iter().filter(|(flag, _)| !replaced(flag));
    let left = left.map(|(flag, value)| value.map_or_else(|| flag.clone(), |value| format!("{flag}={value}")).into());
    // After the program and the command.
    let (head, tail) = given.split_at(2.min(given.len()));
    Ok(head.iter().cloned().chain(left).chain(tail.iter().cloned()).collect())
}

/// The last --config, as for every option.
fn config_file(arguments: &[OsString]) -> Result<Option<OsString>> {
    let (mut arguments, mut found) = (arguments.iter(), None);
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            found = arguments.next().cloned();
        } else if argument.as_encoded_bytes().starts_with(b"--config=") {
            let argument = argument.to_str();
            let argument = argument.context("--config=PATH needs a path in Unicode; --config PATH takes any")?;
            found = argument.strip_prefix("--config=").map(Into::into);
        }
    }
    Ok(found)
}

/// Flags with their values.
fn read(file: &Path) -> Result<Vec<(String, Option<String>)>> {
    let table = input::text(file)?.parse::<toml::Table>();
    let table = table.map_err(|error| anyhow!("invalid TOML: {}", error.message()))?;
    let mut options: Vec<(String, _)> = Vec::new();
    let mut seen = HashMap::new();
    for (name, value) in table {
        let flag = format!("--{}", name.replace('_', "-"));
        if let Some(other) = seen.insert(flag.clone(), name.clone()) {
            bail!("{other} and {name} are the same option");
        }
        let given = if value.is_bool() { None } else { Some(argument(&name, &value)?) };
        check(&name, &flag, given.as_deref())?;
        match value {
            Value::Boolean(false) => {}
            Value::Array(values) if values.is_empty() => {}
            _ => options.push((flag, given)),
        }
    }
    Ok(options)
}

/// Checks one option with clap, which reports errors as if the option were on the command line.
fn check(name: &str, flag: &str, value: Option<&str>) -> Result<()> {
    let option = value.map_or_else(|| flag.to_owned(), |value| format!("{flag}={value}"));
    let Err(error) = Arguments::command().try_get_matches_from(["masked-loss", TRAIN, &option]) else { return Ok(()) };
    match error.kind() {
        // Requirements and conflicts are checked with the whole command line.
        ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict if name != "config" => Ok(()),
        ErrorKind::UnknownArgument | ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            bail!("there is no option {name}")
        }
        ErrorKind::TooManyValues => bail!("{name}: expected true or false, found {:?}", value.unwrap_or_default()),
        ErrorKind::MissingRequiredArgument => bail!("{name} is not allowed in this file"),
        _ => {
            let complaint = error.to_string();
            let lines: Vec<_> = complaint.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            bail!("{name}: {}", lines.join(" ").trim_start_matches("error: "))
        }
    }
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
        _ => bail!("{name}: expected a number, a string, true, false or a list, found a {}", value.type_str()),
    })
}
