//! Trains a multilayer perceptron on a table in which many labels are missing; `--help` tells more.

mod apply;
mod args;
mod checkpoint;
mod compare;
mod config;
mod data;
mod demo;
mod device;
mod evaluate;
mod fit;
mod inspect;
mod names;
mod network;
mod objective;
mod optimizer;
mod output;
mod report;
mod results;
mod source;
mod split;
mod standard;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Arguments, Command};

fn main() -> ExitCode {
    match config::arguments().and_then(|arguments| run(Arguments::parse_from(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What libtorch says goes on with a stack trace.
            eprintln!("error: {}", format!("{error:#}").lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { command, training, policies }: Arguments) -> Result<()> {
    match command {
        Some(Command::Train(arguments)) => train::run(&arguments),
        Some(Command::Evaluate(arguments)) => apply::evaluate(&arguments),
        Some(Command::Predict(arguments)) => apply::predict(&arguments),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Compare(arguments)) => compare::run(&arguments),
        None if policies => demo::policies(&training),
        None => demo::run(&training),
    }
}
