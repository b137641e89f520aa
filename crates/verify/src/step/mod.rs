//! Training steps and constructors of labels, checked and timed on request: the Rust half of
//! `scripts/compare_with_pytorch.py`. The other half is `scripts/pytorch_step.py`.

mod bandwidth;
mod cases;
mod memory;

use std::hint::black_box;
use std::io::stdin;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tch::{Cuda, Device};

use cases::{Cases, Run};

use crate::output::print;

/// Answers each line of standard input with a line of JSON, about losses and how long they take.
///
/// `check CASE`: two numbers, the loss and the sum of the gradient's absolute values (where the case makes labels: the
/// number of observed ones, and their sum).
/// `memory CASE`: by how many bytes a run raises the peak of resident memory, null where the system does not say.
/// `time CASE K`: the seconds of each of K runs.
///
/// A CASE is one of these; all but `kernel`, the constructors and the bandwidths are a step: a loss and its gradient.
/// `raw`, `raw-nan`: the mean on labels and mask, or on labels with NaN for the missing ones.
/// `rows-REDUCTION`: on rows taken from a table of labels, others in each step.
/// `cached-REDUCTION`: on labels made once.
/// `kernel`: the forward pass of `cached-mean`, which computes the gradient, too.
/// `from-mask`, `from-nan`, `from-sentinel`, `complete`: the constructors of labels.
/// `bandwidth-9`, `bandwidth-13`: as many bytes an entry, read and written, and nothing else; only with `time`, and by the
/// CPU wherever the rest is computed.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(losses()))]
    loss: String,
    #[arg(long)]
    threads: NonZeroU16,
    /// Where everything is computed; times include the wait for a GPU
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
    for line in stdin().lines() {
        print(&answer(&line?, &cases, threads.into())?)?;
    }
    Ok(())
}

fn answer(line: &str, cases: &Cases, threads: usize) -> Result<Value> {
    Ok(match line.split(' ').collect::<Vec<_>>()[..] {
        ["check", case] => json!(cases.case(case)?(0)?.check()?),
        ["memory", case] => json!(memory::raised_by(cases.case(case)?)?),
        ["time", case, times] => {
            let times = times.parse::<NonZeroUsize>().with_context(|| format!("no number of times: {line}"))?.get();
            json!(match case {
                "bandwidth-9" => bandwidth::seconds::<false>(times, cases.entries(), threads),
                "bandwidth-13" => bandwidth::seconds::<true>(times, cases.entries(), threads),
                _ => seconds(times, cases.case(case)?, cases.device())?,
            })
        }
        _ => bail!("no command: {line}"),
    })
}

/// The first run, which is not counted, brings caches and buffers into their usual state.
fn seconds(times: usize, run: Run<'_>, device: Device) -> Result<Vec<f64>> {
    let finished = |step| -> Result<()> {
        drop(black_box(run(step)?));
        if let Device::Cuda(number) = device {
            Cuda::synchronize(number as i64);
        }
        Ok(())
    };
    finished(0)?;
    let timed = |step| {
        let start = Instant::now();
        finished(step)?;
        Ok(start.elapsed().as_secs_f64())
    };
    (1..=times).map(timed).collect()
}
