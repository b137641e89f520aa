//! Trains, scores and compares networks on tables in which many labels are missing; `--help` says how.

mod cli;
mod commands;
mod data;
mod input;
mod model;
mod note;
mod report;
mod run;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use anyhow::{Context, Error, Result};
use clap::Parser;

use cli::args::{Arguments, Command};
use cli::config;
use commands::{apply, compare, demo, inspect, train};
use report::terminal;

fn main() -> ExitCode {
    let parsed = config::arguments().map(Arguments::try_parse_from);
    match parsed.and_then(|arguments| arguments.map_or_else(usage, dispatch)) {
        Ok(status) => status,
        // A reader that stops reading, as `head` does, is no error.
        Err(error) if error.downcast_ref().map(io::Error::kind) == Some(ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        Err(error) => {
            note::error(sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// Prints the help, the version or what is wrong with the command line.
fn usage(usage: clap::Error) -> Result<ExitCode> {
    let printed = usage.print();
    if !usage.use_stderr() {
        printed.context(terminal::FAILED)?;
    }
    Ok(ExitCode::from(usage.exit_code() as u8))
}

/// Runs a command; the exit status says whether it finished or was stopped.
fn dispatch(Arguments { command }: Arguments) -> Result<ExitCode> {
    // Fails early if the variable that selects the instructions is invalid.
    masked_loss::simd_level()?;
    match command {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Train(arguments) => return train::run(&arguments),
        Command::Evaluate(arguments) => apply::evaluate(&arguments),
        Command::Predict(arguments) => apply::predict(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// The error and its causes in one line. Some libraries repeat the cause in their own message.
fn sentence(error: &Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence += &format!(": {cause}");
        }
    }
    // libtorch appends a stack trace to the first line of its messages.
    sentence.lines().next().unwrap_or_default().to_owned()
}
