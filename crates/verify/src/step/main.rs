//! Losses with their gradients, and the making of labels, timed on request: this crate's half of
//! `scripts/compare_with_pytorch.py`, of which `scripts/pytorch_step.py` is the other.

mod cases;
mod stream;

use std::fs;
use std::hint::black_box;
use std::io::stdin;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use masked_loss::{catalogue, release_buffers};

use cases::{Cases, Run};

/// Answers each line of its input with a line of JSON.
///
/// `check CASE`: two numbers, the loss and the sum of the gradient's absolute values (where the case makes labels: the
/// number of observed ones, and their sum).
/// `memory CASE`: by how many bytes a step raises the peak of resident memory, null where the system does not say.
/// `step CASE K`: the seconds of K steps.
///
/// A CASE is one of these; all but `kernel`, the constructors and the streams are a loss and its gradient.
/// `raw`, `raw-nan`: the mean on labels and mask, or on labels with NaN for the missing ones.
/// `rows-REDUCTION`: on rows taken from a table of labels, others in each step.
/// `cached-REDUCTION`: on labels made once.
/// `kernel`: the forward pass of `cached-mean`, which computes the gradient, too.
/// `from-mask`, `from-nan`, `from-sentinel`, `complete`: the constructors of labels.
/// `stream-9`, `stream-13`: to be timed only. As many bytes an entry, read and written, and nothing else.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    #[arg(long, value_parser = PossibleValuesParser::new(catalogue().into_iter().map(|named| named.name)))]
    loss: String,
    #[arg(long)]
    threads: u16,
    /// Safetensors file with `logits` [N, C], `labels` [R, C] (NaN where missing), `indices` [B, N] into its rows,
    /// `row_weights` [R] and `label_weights` [C]
    file: PathBuf,
}

fn memory(run: Run<'_>) -> Result<Option<u64>> {
    drop(run(0)?); // what stays for good is there
    release_buffers();
    let Some(before) = fs::write("/proc/self/clear_refs", "5").ok().and_then(|()| resident("VmRSS")) else {
        return Ok(None);
    };
    drop(run(1)?);
    Ok(resident("VmHWM").map(|peak| peak - before))
}

/// A line of this process's status, in bytes.
fn resident(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}

/// The first time, which is not counted, brings caches and buffers into their usual state.
fn seconds(times: usize, run: Run<'_>) -> Result<Vec<f64>> {
    drop(run(0)?);
    let timed = |step| {
        let start = Instant::now();
        drop(black_box(run(step)?));
        Ok(start.elapsed().as_secs_f64())
    };
    (1..=times).map(timed).collect()
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let threads = arguments.threads.into();
    tch::set_num_threads(arguments.threads.into());
    let cases = Cases::read(&arguments.loss, &arguments.file)?;
    for line in stdin().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["check", case] => println!("{:?}", cases.case(case)?(0)?.check()?),
            ["memory", case] => {
                println!("{}", memory(cases.case(case)?)?.map_or("null".into(), |bytes| bytes.to_string()))
            }
            ["step", case, times] => {
                let times = times.parse::<NonZeroUsize>().with_context(|| format!("no number of times: {line}"))?.get();
                let seconds = match case {
                    "stream-9" => stream::seconds::<false>(times, cases.entries(), threads),
                    "stream-13" => stream::seconds::<true>(times, cases.entries(), threads),
                    _ => seconds(times, cases.case(case)?)?,
                };
                println!("{seconds:?}");
            }
            _ => bail!("no command: {line}"),
        }
    }
    Ok(())
}
