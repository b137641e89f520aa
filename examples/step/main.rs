//! A training step's loss and gradient, timed on request: this crate's half of `scripts/compare_with_pytorch.py`, of
//! which `scripts/pytorch_step.py` is the other.

mod stream;

use std::fs;
use std::hint::black_box;
use std::io::stdin;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use masked_loss::{Labels, Loss, Path, Reduction, catalogue, release_buffers};
use tch::{Kind, Tensor};

/// Answers each line of its input with a line of JSON.
///
/// `check`: the loss, and the sum of the gradient's absolute values.
/// `memory`: by how many bytes a step raises the peak of resident memory, null where the system does not tell.
/// `step K`: the seconds of K steps, a step being the mean loss and its gradient.
/// `kernel K`: those of the forward pass alone, which computes the gradient, too.
/// `stream K`: those of reading and writing as many bytes as a step must, and of nothing else.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    #[arg(long, value_parser = PossibleValuesParser::new(catalogue().into_iter().map(|named| named.name)))]
    loss: String,
    #[arg(long)]
    threads: u16,
    /// Safetensors file with `logits` [N, C] and `labels` [N, C], NaN where missing
    file: PathBuf,
}

struct Step {
    loss: Arc<dyn Loss>,
    logits: Tensor,
    labels: Labels,
}

impl Step {
    fn read(arguments: &Arguments) -> Result<Self> {
        let named = catalogue().into_iter().find(|named| named.name == arguments.loss);
        let file = Tensor::read_safetensors(&arguments.file)?;
        let get = |name| {
            let found = file.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
            found.with_context(|| format!("there is no tensor `{name}`"))
        };
        Ok(Self {
            loss: named.context("there is no loss of that name")?.loss,
            logits: get("logits")?.f_set_requires_grad(true)?,
            labels: Labels::from_nan(get("labels")?)?,
        })
    }

    fn forward(&self) -> Result<Tensor> {
        Ok(self.loss.forward_on(Path::Fused, &self.logits, &self.labels, Reduction::Mean)?)
    }

    /// The gradient is taken, not accumulated: in a network the logits are no leaf.
    fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_run_backward(&[loss], &[&self.logits], false, false)?.remove(0))
    }

    fn run(&self) -> Result<Tensor> {
        self.gradient(&self.forward()?)
    }

    fn check(&self) -> Result<[f64; 2]> {
        let loss = self.forward()?;
        let gradient = self.gradient(&loss)?.f_abs()?.f_sum(Kind::Double)?;
        Ok([f64::try_from(loss)?, f64::try_from(gradient)?])
    }

    fn memory(&self) -> Result<Option<u64>> {
        drop(self.run()?); // what stays for good is there
        release_buffers();
        let Some(before) = fs::write("/proc/self/clear_refs", "5").ok().and_then(|()| resident("VmRSS")) else {
            return Ok(None);
        };
        drop(self.run()?);
        Ok(resident("VmHWM").map(|peak| peak - before))
    }
}

/// A line of this process's status, in bytes.
fn resident(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}

/// The first time, which is not counted, brings caches and buffers into their usual state.
fn seconds(times: usize, run: impl Fn() -> Result<Tensor>) -> Result<Vec<f64>> {
    drop(run()?);
    let timed = |_| {
        let start = Instant::now();
        drop(black_box(run()?));
        Ok(start.elapsed().as_secs_f64())
    };
    (0..times).map(timed).collect()
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tch::set_num_threads(arguments.threads.into());
    let step = Step::read(&arguments)?;
    for line in stdin().lines() {
        let line = line?;
        let (command, times) = line.split_once(' ').unwrap_or((&line, "1"));
        let times = times.parse::<NonZeroUsize>().with_context(|| format!("no number of times: {line}"))?.get();
        match command {
            "check" => println!("{:?}", step.check()?),
            "memory" => println!("{}", step.memory()?.map_or("null".into(), |bytes| bytes.to_string())),
            "step" => println!("{:?}", seconds(times, || step.run())?),
            "kernel" => println!("{:?}", seconds(times, || step.forward())?),
            "stream" => println!("{:?}", stream::seconds(times, step.logits.numel(), arguments.threads.into())),
            _ => bail!("no command: {line}"),
        }
    }
    Ok(())
}
