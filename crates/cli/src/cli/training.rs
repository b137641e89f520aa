//! The options of training.

use anyhow::{Context, Result, ensure};
use clap::{ArgAction, Args, ValueEnum, value_parser};
use masked_loss::Head;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::device::{DeviceChoice, parse_device};
use crate::model::network::Design;
use crate::model::objective::{losses_help, parse_loss, parse_policy, policies_help};
use crate::model::optimizer::{Rule, Unobserved};

/// The network and how it is trained.
#[derive(Args, Clone, Serialize, Deserialize, PartialEq)]
pub struct Training {
    /// The loss that training minimizes, with settings after colons, as in focal:gamma=1.5.
    #[arg(long, value_name = "NAME[:SETTING=VALUE]", default_value = "bce", value_parser = parse_loss)]
    #[arg(help = format!("The loss that training minimizes, with settings after colons, as in focal:gamma=1.5. Losses and \
                          their settings: {}", losses_help()))]
    pub loss: String,
    /// What a missing label counts as in training. Validation and test score observed labels only.
    #[arg(long, value_name = "POLICY[:SETTING=VALUE]", default_value = "ignore", value_parser = parse_policy)]
    #[arg(help = format!("What a missing label counts as in training. Validation and test score observed labels only. \
                          Policies and their settings: {}", policies_help()))]
    pub missing: String,
    /// Gives the positives and the negatives of each label the same total weight.
    #[arg(long)]
    pub balanced: bool,
    /// In each step, restores the output weights of labels that no row observed: momentum and weight decay do not move
    /// them.
    #[arg(long)]
    pub guard: bool,
    /// Subtracts each feature's mean and divides by its standard deviation. Both are computed on the training rows and
    /// stored with the weights.
    #[arg(long)]
    #[serde(default)]
    pub standardize: bool,
    /// Widths of the hidden layers.
    #[arg(long, action = ArgAction::Set, default_value = "1000", value_name = "WIDTH,...", value_delimiter = ',',
          value_parser = value_parser!(i64).range(1..=1_000_000))]
    pub hidden: Vec<i64>,
    /// Share of the hidden units left out in each training step.
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true, value_parser = parse_dropout)]
    pub dropout: f64,
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u64).range(1..))]
    pub epochs: u64,
    /// Stops after this many epochs without a better one: a higher macro AUROC on the validation rows, or a lower
    /// validation loss if no label there has both classes.
    #[arg(long, value_name = "EPOCHS", value_parser = value_parser!(u64).range(1..))]
    pub patience: Option<u64>,
    /// Rows per step.
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Rows that go through the network at a time. Each step still uses --batch-size rows.
    #[arg(long, value_name = "ROWS", value_parser = value_parser!(u32).range(1..))]
    pub micro_batch: Option<u32>,
    /// Which logits of the last layer training computes. observed needs --missing ignore and the CPU, and is faster if
    /// about a tenth of the labels or less are observed. auto chooses for each step.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub head: HeadChoice,
    /// What happens to the output weights of labels that no row of a step observed. wait and keep need --precision f32
    /// and --head observed (or auto, which then means observed). With --clip, wait may differ from move by the rounding
    /// of the norm.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub unobserved: Unobserved,
    /// The number type of the layers' matrix products. Weights, sums and the loss are always f32.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub precision: Precision,
    #[arg(long, value_enum, default_value_t)]
    pub optimizer: Rule,
    /// Learning rate.
    #[arg(long, default_value_t = 2e-3, allow_negative_numbers = true, value_parser = parse_rate)]
    pub lr: f64,
    /// How the learning rate changes after the warm-up.
    #[arg(long, value_enum, default_value_t)]
    pub schedule: Schedule,
    /// Number of steps over which the learning rate rises from 0.
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    pub warmup: u64,
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_parser = parse_decay)]
    pub weight_decay: f64,
    /// Scales gradients of a larger norm down to this norm.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = parse_rate)]
    pub clip: Option<f64>,
    /// Seed of the split, the shuffles, the initial weights and the dropout.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(i64).range(0..))]
    pub seed: i64,
    /// Number of libtorch threads; by default libtorch chooses.
    #[arg(long, value_parser = value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
    /// auto uses a GPU if one is usable.
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda:0", value_parser = parse_device)]
    #[serde(skip, default)]
    pub device: DeviceChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HeadChoice {
    #[default]
    Auto,
    /// All logits.
    Dense,
    /// All logits, some labels at a time: less memory for wide tables.
    Chunked,
    /// Only the logits of observed labels.
    Observed,
}

impl From<HeadChoice> for Head {
    fn from(choice: HeadChoice) -> Self {
        match choice {
            HeadChoice::Auto => Self::Auto,
            HeadChoice::Dense => Self::Dense,
            HeadChoice::Chunked => Self::Chunked,
            HeadChoice::Observed => Self::Observed,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Half the memory, and faster on devices that support it.
    Bf16,
}

impl Precision {
    fn kind(self) -> Kind {
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
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Falls to 0 linearly.
    Linear,
}

impl Training {
    /// Sets up libtorch and returns the device.
    pub fn start(&self) -> Result<Device> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        if let Some(rows) = self.micro_batch {
            ensure!(rows <= self.batch_size, "--micro-batch {rows} is above --batch-size {}", self.batch_size);
        }
        let device = self.device.device().context("--device")?;
        let option = match self.unobserved {
            Unobserved::Move if self.head != HeadChoice::Observed => return Ok(device),
            Unobserved::Move => "--head observed",
            Unobserved::Wait => "--unobserved wait",
            Unobserved::Keep => "--unobserved keep",
        };
        ensure!(self.missing == "ignore", "{option} needs --missing ignore, found --missing {}", self.missing);
        ensure!(device == Device::Cpu, "{option} needs --device cpu, found {device:?}");
        if self.unobserved != Unobserved::Move {
            let is_observed = matches!(self.head, HeadChoice::Auto | HeadChoice::Observed);
            ensure!(is_observed, "{option} needs --head observed");
            ensure!(self.precision == Precision::F32, "{option} needs --precision f32");
        }
        Ok(device)
    }

    /// The first option that differs from another run's.
    pub fn difference(&self, other: &Self) -> Result<Option<String>> {
        let [now, then] = [self, other].map(serde_json::to_value);
        let (now, then) = (now?, then?);
        let options = now.as_object().into_iter().flatten();
        let differs = options.map(|(name, now)| (name, now, &then[name])).find(|(_, now, then)| now != then);
        Ok(differs.map(|(name, now, then)| format!("--{} is {now}, and was {then}", name.replace('_', "-"))))
    }

    pub fn head(&self) -> Head {
        match (self.unobserved, self.head.into()) {
            (Unobserved::Wait | Unobserved::Keep, _) => Head::Observed,
            (Unobserved::Move, head) => head,
        }
    }

    /// The network for a table of this size.
    pub fn design(&self, inputs: i64, labels: i64) -> Design {
        Design {
            widths: [&[inputs], &self.hidden[..], &[labels]].concat(),
            dropout: self.dropout,
            standardize: self.standardize,
            kind: self.precision.kind(),
        }
    }

    /// The learning rate of step `step` of `steps`, counted from 0.
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
    text.parse().ok().filter(|share| (0.0..1.0).contains(share)).ok_or("expected a number of at least 0 and below 1")
}

fn parse_decay(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|decay: &f64| *decay >= 0.0 && decay.is_finite()).ok_or("expected a number of at least 0")
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite()).ok_or("expected a number above 0")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        training: Training,
    }

    #[test]
    fn the_rate_rises_over_the_warm_up_and_falls_over_the_rest() {
        let rates = |schedule: &str, warmup: &str, steps: &[u64]| -> Vec<f64> {
            let line = ["masked-loss", "--lr", "0.8", "--schedule", schedule, "--warmup", warmup];
            let training = Options::parse_from(line).training;
            steps.iter().map(|&step| (training.rate(step, 15) * 1e12).round() / 1e12).collect()
        };
        assert_eq!(rates("constant", "0", &[0, 7, 14]), [0.8, 0.8, 0.8]);
        assert_eq!(rates("constant", "5", &[0, 3, 4, 5, 14]), [0.16, 0.64, 0.8, 0.8, 0.8]);
        assert_eq!(rates("linear", "0", &[0, 3, 12]), [0.8, 0.64, 0.16]);
        assert_eq!(rates("linear", "5", &[0, 4, 5, 10, 14]), [0.16, 0.8, 0.8, 0.4, 0.08]);
        assert_eq!(rates("cosine", "0", &[0, 5, 10]), [0.8, 0.6, 0.2]);
        assert_eq!(rates("cosine", "5", &[4, 5, 10]), [0.8, 0.8, 0.4]);
    }
}
