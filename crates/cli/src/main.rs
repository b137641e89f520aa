//! Trains, scores and compares networks on tables in which many labels are missing; `--help` says how.

mod cli;
mod commands;
mod data;
mod model;
mod report;
mod run;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::args::{Arguments, Command};
use cli::config;
use commands::{apply, compare, demo, inspect, train};

fn main() -> ExitCode {
    match config::arguments().and_then(|arguments| dispatch(Arguments::parse_from(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // After the first line of libtorch's messages comes a stack trace.
            eprintln!("error: {}", format!("{error:#}").lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(Arguments { command }: Arguments) -> Result<()> {
    // Before any work: the variable that chooses the instructions may be wrong.
    masked_loss::simd_level()?;
    match command {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => apply::evaluate(&arguments),
        Command::Predict(arguments) => apply::predict(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}
