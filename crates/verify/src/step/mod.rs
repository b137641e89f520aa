//! Training steps and constructors of labels, checked and timed on request: the Rust half of
//! `scripts/compare_with_pytorch.py`. The other half is `scripts/pytorch_step.py`.

mod bandwidth;
mod cases;

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use tch::Device;

use cases::Cases;

use crate::serve::{self, Run, serve};

/// Answers each line of standard input with a line of JSON: results and times of losses.
///
/// `check CASE`: two numbers, the loss and the sum of the gradient's absolute values (where the case makes labels: the
/// number of observed ones, and their sum).
/// `memory CASE`: the bytes by which a run raises peak resident memory, null if the system does not report it.
/// `time CASE K`: the seconds of each of K runs.
///
/// A CASE is one of these; all but `kernel`, the constructors and the bandwidths are a step: a loss and its gradient.
/// `raw`, `raw-nan`: the mean on labels and mask, or on labels with NaN for the missing ones.
/// `rows-REDUCTION`: on rows taken from a table of labels, different ones in each step.
/// `cached-REDUCTION`: on labels made once.
/// `kernel`: the forward pass of `cached-mean`, which computes the gradient, too.
/// `from-mask`, `from-nan`, `from-sentinel`, `complete`: the constructors of labels.
/// `bandwidth-9`, `bandwidth-13`: only reads and writes this many bytes per entry; only with `time`, and always on the
/// CPU.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(losses()))]
    loss: String,
    #[arg(long)]
    threads: NonZeroU16,
    /// Device of the computation; times include the wait for a GPU
    #[arg(long, default_value = "cpu")]
    device: Where,
    /// Safetensors file with `logits` [N, C], `labels` [R, C] (NaN where missing), `indices` [B, N] into its rows,
    /// `row_weights` [R] and `label_weights` [C]
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Where {
    Cpu,
    Cuda,
}

fn losses() -> impl Iterator<Item = &'static str> {
    masked_loss::catalogue().into_iter().map(|named| named.name)
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let threads = arguments.threads.get();
    tch::set_num_threads(threads.into());
    let device = match arguments.device {
        Where::Cpu => Device::Cpu,
        Where::Cuda => Device::Cuda(0),
    };
    let cases = Cases::read(&arguments.loss, &arguments.file, device)?;
    serve(&Steps { cases, threads: threads.into() })
}

struct Steps {
    cases: Cases,
    threads: usize,
}

impl serve::Cases for Steps {
    fn device(&self) -> Device {
        self.cases.device()
    }

    fn case(&self, name: &str) -> Result<Run<'_>> {
        self.cases.case(name)
    }

    fn seconds(&self, name: &str, times: usize) -> Option<Vec<f64>> {
        match name {
            "bandwidth-9" => Some(bandwidth::seconds::<false>(times, self.cases.entries(), self.threads)),
            "bandwidth-13" => Some(bandwidth::seconds::<true>(times, self.cases.entries(), self.threads)),
            _ => None,
        }
    }
}
