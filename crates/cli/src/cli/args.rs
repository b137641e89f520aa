//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, value_parser};

use super::device::{DeviceChoice, parse_device};
use super::source::Source;
use super::splitting::Splitting;
use super::training::Training;
use crate::model::objective::{parse_loss, parse_policy};

/// Trains, scores and compares multilayer perceptrons on tables in which many labels are missing.
///
/// If an option is repeated, the last one counts; only --labels, --ignore and --bits accumulate their names.
#[derive(Parser)]
#[command(name = "masked-loss", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Describes a table: how much of it is observed, and where.
    Inspect(Inspect),
    /// Trains on a table and scores the test rows.
    Train(Train),
    /// Scores a trained network on a table.
    Evaluate(Evaluate),
    /// Writes a trained network's probabilities for a table.
    Predict(Predict),
    /// Trains on the same rows with several losses and policies for missing labels, over several seeds.
    Compare(Compare),
    /// Trains three times on a synthetic problem in which every label is known: missing labels left out of the loss,
    /// missing labels taken as negative, and no label missing.
    Demo(Demo),
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Inspect {
    #[command(flatten)]
    pub source: Source,
    /// Shows every label instead of the first ones.
    #[arg(long)]
    pub all: bool,
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Train {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub splitting: Splitting,
    #[command(flatten)]
    pub training: Training,
    /// Folder for the weights, the configuration, the metrics, report.html with charts, predictions.csv for the test
    /// rows and events for TensorBoard. With more than 2,000 labels, predictions.csv has the 20 highest probabilities
    /// of each row, and only the first rows if all would take long. The run replaces the files of an earlier run and
    /// writes a checkpoint after every epoch. It removes metrics.json first and writes it last: if it exists, the run
    /// is complete. Only one run at a time can use the folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Resumes from the checkpoint in --out. The result has the same bits as that of a run that was never stopped. You
    /// may raise --epochs.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// A TOML file of options, `lr = 1e-3` for --lr 1e-3. The command line overrides it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A trained network and a table.
#[derive(Args)]
pub struct Applied {
    /// The --out folder of a training run.
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    #[command(flatten)]
    pub source: Source,
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda:0", value_parser = parse_device)]
    pub device: DeviceChoice,
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Evaluate {
    #[command(flatten)]
    pub what: Applied,
    /// Also writes all scores to this .json file, in the format of the test scores in a run's metrics.json.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Predict {
    #[command(flatten)]
    pub what: Applied,
    /// The file to write: .csv, or .npz with the arrays P and labels.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Writes only this many labels of each row, those with the highest probabilities. The .csv then has the columns
    /// row, label and probability, and the .npz also has an array top with the numbers of the labels.
    #[arg(long, value_name = "LABELS", value_parser = value_parser!(u32).range(1..))]
    pub top: Option<u32>,
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Compare {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub splitting: Splitting,
    #[command(flatten)]
    pub training: Training,
    /// Number of seeds, starting at --seed.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(1..))]
    pub seeds: u16,
    /// Losses to compare, instead of --loss.
    #[arg(long, action = ArgAction::Set, value_name = "NAME,...", value_delimiter = ',', value_parser = parse_loss,
          conflicts_with = "loss")]
    pub losses: Vec<String>,
    /// Policies for missing labels to compare, instead of --missing. Without either, ignore and negative.
    #[arg(long, action = ArgAction::Set, value_name = "POLICY,...", value_delimiter = ',', value_parser = parse_policy,
          conflicts_with = "missing")]
    pub policies: Vec<String>,
}

#[derive(Args)]
#[command(args_override_self = true)]
pub struct Demo {
    /// Compares every policy for missing labels instead, with labels hidden at random and with positives only.
    #[arg(long)]
    pub policies: bool,
    #[command(flatten)]
    pub training: Training,
}
