//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, value_parser};
use serde::{Serialize, Serializer};
use tch::{Cuda, Device};

use crate::objective;

/// Trains a multilayer perceptron on a table in which many labels are missing.
///
/// Without --data it runs a demonstration: a synthetic problem whose every label is known, of which part is hidden.
#[derive(Parser)]
#[command(args_override_self = true)]
pub struct Arguments {
    #[command(flatten)]
    pub source: Option<Source>,
    #[command(flatten)]
    pub training: Training,
    /// Instead of the demonstration, compares all that a missing label may count as on its synthetic problem: labels hidden
    /// at random, and with positives only.
    #[arg(long, conflicts_with = "data")]
    pub policies: bool,
    /// auto takes a GPU where there is a usable one.
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda:0", value_parser = parse_device)]
    pub device: DeviceChoice,
}

/// Which table, and what in it means what.
#[derive(Args, Serialize)]
pub struct Source {
    /// The table: .csv or .csv.gz with a header, or .npz or .safetensors with the arrays X and Y.
    // Every other one of these requires it; without any there is no source.
    #[arg(long, value_name = "FILE", required = false)]
    #[serde(serialize_with = "lossy")]
    pub data: PathBuf,
    /// Label columns, names or globs; in arrays all of Y, unless told. Y's columns are named by the array `labels` of
    /// an .npz, by a JSON list under `labels` in the metadata of a .safetensors, else by their positions from 0.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "data")]
    pub labels: Vec<String>,
    /// Columns to leave out, names or globs; in a CSV, all that is neither label nor left out is a feature.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "data")]
    pub ignore: Vec<String>,
    /// A label of this value is missing, besides empty cells, ?, NA and NaN.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, requires = "data", value_parser = parse_finite)]
    pub missing_value: Option<f64>,
    /// Makes labels binary: 1 from this value on, else 0.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, requires = "data", value_parser = parse_finite)]
    pub threshold: Option<f64>,
    /// The column (or array) that says train, validation or test (or 0, 1, 2) for each row; a random 80/10/10 split
    /// by seed, unless told.
    #[arg(long, value_name = "NAME", requires = "data")]
    pub split: Option<String>,
    /// Folder for the weights, the configuration and the metrics; replaces those of an earlier run. metrics.json is
    /// written last: where it is present, all is complete.
    #[arg(long, value_name = "DIR", requires = "data")]
    #[serde(serialize_with = "lossy_option")]
    pub out: Option<PathBuf>,
}

/// The network and how it is trained.
#[derive(Args, Clone, Serialize)]
pub struct Training {
    /// What the network is trained to make small.
    #[arg(long, value_name = "NAME", default_value = "bce")]
    #[arg(value_parser = PossibleValuesParser::new(objective::losses().map(|named| named.name)))]
    pub loss: String,
    /// What a missing label counts as in training. Validation and test score observed labels only.
    #[arg(long, value_name = "POLICY", requires = "data", default_value = "ignore")]
    #[arg(value_parser = PossibleValuesParser::new(objective::policies()))]
    pub missing: String,
    /// Widths of the hidden layers.
    #[arg(long, default_value = "1000", value_name = "WIDTH,...", value_delimiter = ',',
          value_parser = value_parser!(i64).range(1..=1_000_000))]
    pub hidden: Vec<i64>,
    /// Share of the hidden units left out in each training step.
    #[arg(long, default_value_t = 0.5, value_parser = parse_dropout)]
    pub dropout: f64,
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u64).range(1..))]
    pub epochs: u64,
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 2e-3, value_parser = parse_rate)]
    pub lr: f64,
    /// Of the split, the shuffles, the initial weights and the dropout.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(i64).range(0..))]
    pub seed: i64,
}

#[derive(Clone, Copy)]
pub enum DeviceChoice {
    Auto,
    Cpu,
    Cuda(usize),
}

impl DeviceChoice {
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Auto => Ok(Device::cuda_if_available()),
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => {
                ensure!(Cuda::is_available(), "CUDA is not usable here; cargo run --example doctor says why");
                let count = Cuda::device_count();
                ensure!((index as i64) < count, "there is no cuda:{index}: the CUDA devices are 0 to {}", count - 1);
                Ok(Device::Cuda(index))
            }
        }
    }
}

fn parse_device(text: &str) -> Result<DeviceChoice, &'static str> {
    match text {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "cuda" => Ok(DeviceChoice::Cuda(0)),
        _ => text
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .map(DeviceChoice::Cuda)
            .ok_or("expected auto, cpu or cuda:0"),
    }
}

/// JSON holds Unicode only, a path may be anything.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

fn lossy_option<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(serializer)
}

fn parse_finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("expected a finite number")
}

fn parse_dropout(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..1.0).contains(share)).ok_or("expected a number from 0 to below 1")
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite()).ok_or("expected a number above 0")
}
