//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::device::{DeviceChoice, parse_device};
use crate::source::{Inspect, Source, Splitting};
use crate::{objective, optimizer};

/// Trains a multilayer perceptron on a table in which many labels are missing.
///
/// Without a command it runs a demonstration: a synthetic problem whose every label is known, of which part is hidden.
#[derive(Parser)]
#[command(version, args_override_self = true, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub training: Training,
    /// Instead of the demonstration, compares all that a missing label may count as on its synthetic problem: labels hidden
    /// at random, and with positives only.
    #[arg(long)]
    pub policies: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Shows what is in a table: how much of it is known, and where.
    Inspect(Inspect),
    /// Trains on a table, and scores the test rows.
    Train(Train),
    /// Scores a trained network on a table.
    Evaluate(Evaluate),
    /// Writes a trained network's probabilities for a table.
    Predict(Predict),
    /// Trains on the same rows with several losses and policies for missing labels, over several seeds.
    Compare(Compare),
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
    /// Folder for the weights, the configuration, the metrics and what there is to look at: report.html with charts,
    /// predictions.csv for the test rows, events for TensorBoard. Replaces those of an earlier run. metrics.json is written
    /// last: where it is present, all is complete. A checkpoint is kept there after every epoch.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Goes on from the checkpoint in --out, to the same bits as a run that was never stopped.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// A TOML file of options, `lr = 1e-3` for --lr 1e-3; those of the command line come before it.
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
pub struct Evaluate {
    #[command(flatten)]
    pub what: Applied,
    /// Where all scores go besides, a .json with what the metrics.json of a run has for its test rows.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

#[derive(Args)]
pub struct Predict {
    #[command(flatten)]
    pub what: Applied,
    /// Where the probabilities go: .csv, or .npz with the arrays P and labels.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
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
    /// How many seeds, from --seed on.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(1..))]
    pub seeds: u16,
    /// Losses to compare, besides --loss.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    #[arg(value_parser = PossibleValuesParser::new(objective::losses().map(|named| named.name)))]
    pub losses: Vec<String>,
    /// Policies for missing labels to compare.
    #[arg(long, value_name = "POLICY,...", value_delimiter = ',', default_value = "ignore,negative")]
    #[arg(value_parser = PossibleValuesParser::new(objective::policies()))]
    pub policies: Vec<String>,
}

/// The network and how it is trained.
#[derive(Args, Clone, Serialize, Deserialize, PartialEq)]
pub struct Training {
    /// What the network is trained to make small.
    #[arg(long, value_name = "NAME", default_value = "bce")]
    #[arg(value_parser = PossibleValuesParser::new(objective::losses().map(|named| named.name)))]
    pub loss: String,
    /// What a missing label counts as in training. Validation and test score observed labels only.
    #[arg(long, value_name = "POLICY", default_value = "ignore")]
    #[arg(value_parser = PossibleValuesParser::new(objective::policies()))]
    pub missing: String,
    /// Gives the positives and the negatives of each label the same weight in all.
    #[arg(long)]
    pub balanced: bool,
    /// Leaves the output weights of labels that a step did not observe where they are, whatever the optimizer remembers.
    #[arg(long)]
    pub guard: bool,
    /// Takes from each feature its mean and divides it by its standard deviation, both of the rows to train on and kept with
    /// the weights.
    #[arg(long)]
    #[serde(default)]
    pub standardize: bool,
    /// Widths of the hidden layers.
    #[arg(long, default_value = "1000", value_name = "WIDTH,...", value_delimiter = ',',
          value_parser = value_parser!(i64).range(1..=1_000_000))]
    pub hidden: Vec<i64>,
    /// Share of the hidden units left out in each training step.
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true, value_parser = parse_dropout)]
    pub dropout: f64,
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u64).range(1..))]
    pub epochs: u64,
    /// Stops after this many epochs without a better one.
    #[arg(long, value_name = "EPOCHS", value_parser = value_parser!(u64).range(1..))]
    pub patience: Option<u64>,
    /// Rows of a step.
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Rows that go through the network at a time; the steps are those of --batch-size all the same.
    #[arg(long, value_name = "ROWS", value_parser = value_parser!(u32).range(1..))]
    pub micro_batch: Option<u32>,
    /// What the layers multiply in. Weights, sums and the loss are f32 with either.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub precision: Precision,
    #[arg(long, value_enum, default_value_t)]
    pub optimizer: optimizer::Kind,
    /// Learning rate.
    #[arg(long, default_value_t = 2e-3, allow_negative_numbers = true, value_parser = parse_rate)]
    pub lr: f64,
    /// How the learning rate goes on after the warm-up.
    #[arg(long, value_enum, default_value_t)]
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from 0.
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    pub warmup: u64,
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_parser = parse_decay)]
    pub weight_decay: f64,
    /// The norm down to which larger gradients are scaled.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = parse_rate)]
    pub clip: Option<f64>,
    /// Of the split, the shuffles, the initial weights and the dropout.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(i64).range(0..))]
    pub seed: i64,
    /// Threads of libtorch; its own choice, unless told.
    #[arg(long, value_parser = value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
    /// auto takes a GPU where there is a usable one.
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda:0", value_parser = parse_device)]
    #[serde(skip, default)]
    pub device: DeviceChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Half the memory, and faster where the device has it.
    Bf16,
}

impl Precision {
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    #[default]
    Constant,
    /// Down to 0 by half a cosine.
    Cosine,
    /// Down to 0 by a straight line.
    Linear,
}

impl Training {
    /// The learning rate of a step, counted from 0, of so many.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let done = (step - self.warmup) as f64 / steps.saturating_sub(self.warmup).max(1) as f64;
        self.lr
            * match self.schedule {
                Schedule::Constant => 1.0,
                Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                Schedule::Linear => 1.0 - done,
            }
    }
}

fn parse_dropout(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..1.0).contains(share)).ok_or("expected a number from 0 to below 1")
}

fn parse_decay(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|decay: &f64| *decay >= 0.0 && decay.is_finite()).ok_or("expected a number from 0 on")
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite()).ok_or("expected a number above 0")
}
