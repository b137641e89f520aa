//! The Rust half of the scripts that compare masked-loss with PyTorch and scikit-learn, and time it.

mod gradients;
mod loss;
mod metrics;
mod set_loss;
mod step;
mod tensors;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use masked_loss::Error;

/// What `scripts/verify_*.py` and `scripts/compare_with_pytorch.py` run.
///
/// Exit status: 1 where a file is at fault, 2 for a wrong argument, 3 where the fused path cannot serve.
#[derive(Parser)]
enum Command {
    Loss(loss::Arguments),
    SetLoss(set_loss::Arguments),
    Metrics(metrics::Arguments),
    Step(step::Arguments),
}

fn main() -> ExitCode {
    let Err(error) = run(&Command::parse()) else {
        return ExitCode::SUCCESS;
    };
    // libtorch appends a stack trace to its messages.
    eprintln!("{}", format!("{error:#}").lines().next().unwrap_or_default());
    match error.downcast_ref() {
        Some(Error::Fused(_)) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Loss(arguments) => loss::run(arguments),
        Command::SetLoss(arguments) => set_loss::run(arguments),
        Command::Metrics(arguments) => metrics::run(arguments),
        Command::Step(arguments) => step::run(arguments),
    }
}
