//! The Rust half of the scripts that compare masked-loss with PyTorch and scikit-learn, and time it.

mod gradients;
mod head;
mod loss;
mod memory;
mod metrics;
mod output;
mod serve;
mod set_loss;
mod step;
mod tensors;

use std::io::{self, ErrorKind, Write, stderr};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use masked_loss::Error;

/// What `scripts/verify_*.py` and `scripts/compare_*.py` run.
///
/// Exit status: 1 for a bad file, 2 for a bad argument, 3 if the fused backend does not support the input.
#[derive(Parser)]
enum Command {
    Loss(loss::Arguments),
    SetLoss(set_loss::Arguments),
    Metrics(metrics::Arguments),
    Step(step::Arguments),
    Head(head::Arguments),
}

fn main() -> ExitCode {
    let error = match Command::try_parse().map_or_else(usage, run) {
        Ok(status) => return status,
        Err(error) => error,
    };
    // A reader that stops reading, as `head` does, is no error.
    if error.downcast_ref().map(io::Error::kind) == Some(ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // libtorch appends a stack trace to its messages. A closed or full standard error is ignored.
    let _ = writeln!(stderr(), "{}", format!("{error:#}").lines().next().unwrap_or_default());
    match error.downcast_ref() {
        Some(Error::Fused(_)) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}

/// Prints the help, or what is wrong with the command line.
fn usage(usage: clap::Error) -> Result<ExitCode> {
    let printed = usage.print();
    if !usage.use_stderr() {
        printed.context(output::FAILED)?;
    }
    Ok(ExitCode::from(usage.exit_code() as u8))
}

fn run(command: Command) -> Result<ExitCode> {
    match &command {
        Command::Loss(arguments) => loss::run(arguments),
        Command::SetLoss(arguments) => set_loss::run(arguments),
        Command::Metrics(arguments) => metrics::run(arguments),
        Command::Step(arguments) => step::run(arguments),
        Command::Head(arguments) => head::run(arguments),
    }
    .map(|()| ExitCode::SUCCESS)
}
