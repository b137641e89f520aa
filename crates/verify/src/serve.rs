//! Answers commands that check and time cases.

use std::hint::black_box;
use std::io::stdin;
use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use masked_loss::Labels;
use serde_json::{Value, json};
use tch::{Cuda, Device, Kind, Tensor};

use crate::memory;
use crate::output::print;

/// The result of a run, whose time includes dropping it.
pub enum Outcome {
    /// A loss and the gradients of its inputs.
    Step {
        loss: Tensor,
        gradients: Vec<Tensor>,
    },
    Labels(Labels),
}

impl Outcome {
    /// Two numbers by which programs compare their results: the loss and Σ|gradient|, or the number of observed labels
    /// and their sum.
    pub fn check(&self) -> Result<[f64; 2]> {
        match self {
            Self::Step { loss, gradients } => {
                let sizes = gradients.iter().map(sum_of_sizes).sum::<Result<f64>>()?;
                Ok([loss.f_double_value(&[])?, sizes])
            }
            Self::Labels(labels) => Ok([
                labels.observed()?.f_sum(Kind::Double)?.f_double_value(&[])?,
                labels.values()?.f_nansum(None::<&[i64]>, false, Kind::Double)?.f_double_value(&[])?,
            ]),
        }
    }
}

/// For a sparse gradient, over the rows that it holds.
fn sum_of_sizes(gradient: &Tensor) -> Result<f64> {
    let held = if gradient.is_sparse() { gradient.f_internal_values()? } else { gradient.shallow_clone() };
    Ok(held.f_abs()?.f_sum(Kind::Double)?.f_double_value(&[])?)
}

/// Runs a case once. The number selects the rows if every step takes fresh ones.
pub type Run<'a> = Box<dyn Fn(usize) -> Result<Outcome> + 'a>;

/// Cases by name, on a device.
pub trait Cases {
    fn device(&self) -> Device;

    fn case(&self, name: &str) -> Result<Run<'_>>;

    /// The seconds of each of `times` runs, if `name` is not a case but a bandwidth.
    fn seconds(&self, name: &str, times: usize) -> Option<Vec<f64>>;
}

/// Answers each line of standard input with a line of JSON.
pub fn serve(cases: &impl Cases) -> Result<()> {
    for line in stdin().lines() {
        print(&answer(&line?, cases)?)?;
    }
    Ok(())
}

fn answer(line: &str, cases: &impl Cases) -> Result<Value> {
    Ok(match line.split(' ').collect::<Vec<_>>()[..] {
        ["check", case] => json!(cases.case(case)?(0)?.check()?),
        ["memory", case] => json!(memory::raised_by(cases.case(case)?)?),
        ["time", case, times] => {
            let times = times.parse::<NonZeroUsize>().with_context(|| format!("expected K above 0: {line}"))?.get();
            json!(match cases.seconds(case, times) {
                Some(seconds) => seconds,
                None => seconds(times, cases.case(case)?, cases.device())?,
            })
        }
        _ => bail!("unknown command: {line}"),
    })
}

/// The first run warms up caches and buffers, and is not counted.
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
