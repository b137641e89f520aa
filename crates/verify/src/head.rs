//! Training steps of a last layer with its loss, checked and timed on request: the Rust half of
//! `scripts/compare_head.py`. The other half is `scripts/pytorch_head.py`.

use std::cell::OnceCell;
use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use masked_loss::{BceWithLogits, Head, Labels, Linear, Loss, Reduction};
use tch::{Device, Tensor};

use crate::serve::{self, Outcome, Run, serve};
use crate::tensors::Tensors;

/// Answers each line of standard input with a line of JSON: results and times of a last layer with its loss. A step
/// takes fresh rows of a table and computes the mean binary cross entropy and the gradients of hidden vectors, weight
/// and bias.
///
/// The commands are those of `step`. A CASE is a head: `auto`, `dense`, `chunked`, `observed`, or `observed-sparse` for
/// sparse gradients of weight and bias. `matrix-` before a head takes the rows from labels stored as a matrix.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[arg(long)]
    threads: NonZeroU16,
    /// Safetensors file with `hidden` [N, D], `weight` [C, D], `bias` [C], a table of labels in compressed rows as
    /// `starts` [R + 1], `columns` [K] and `values` [K], and `indices` [B, N] into its rows
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    tch::set_num_threads(arguments.threads.get().into());
    let mut tensors = Tensors::read(&arguments.file)?;
    let mut get = |name| tensors.expect(name).with_context(|| arguments.file.display().to_string());
    let (hidden, weight, bias) = (get("hidden")?, get("weight")?, get("bias")?);
    let (starts, columns, values) = (get("starts")?, get("columns")?, get("values")?);
    let [hidden, weight, bias] = [hidden, weight, bias].map(|tensor| tensor.set_requires_grad(true));
    let labels = Labels::from_csr(&starts, &columns, &values, bias.size()[0])?;
    let indices = get("indices")?.f_unbind(0)?;
    serve(&Heads { hidden, weight, bias, labels, matrix: OnceCell::new(), indices })
}

impl Heads {
    fn matrix(&self) -> Result<&Labels> {
        if let Some(made) = self.matrix.get() {
            return Ok(made);
        }
        let made = Labels::from_nan(&self.labels.values()?)?;
        Ok(self.matrix.get_or_init(|| made))
    }
}

struct Heads {
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    labels: Labels,
    /// Made at first use.
    matrix: OnceCell<Labels>,
    indices: Vec<Tensor>,
}

impl serve::Cases for Heads {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn case(&self, name: &str) -> Result<Run<'_>> {
        let (labels, head) = match name.strip_prefix("matrix-") {
            Some(head) => (self.matrix()?, head),
            None => (&self.labels, name),
        };
        let (head, sparse_gradient) = match head {
            "auto" => (Head::Auto, false),
            "dense" => (Head::Dense, false),
            "chunked" => (Head::Chunked, false),
            "observed" => (Head::Observed, false),
            "observed-sparse" => (Head::Observed, true),
            _ => bail!("there is no case `{name}`"),
        };
        Ok(Box::new(move |step| {
            let linear =
                Linear::new(&self.weight, Some(&self.bias)).with_head(head).with_sparse_gradient(sparse_gradient);
            let batch = labels.rows(&self.indices[step % self.indices.len()])?;
            let loss = BceWithLogits::default().forward_linear(&self.hidden, &linear, &batch, Reduction::Mean)?;
            let inputs = [&self.hidden, &self.weight, &self.bias];
            let gradients = Tensor::f_run_backward(&[&loss], &inputs, false, false)?;
            Ok(Outcome::Step { loss, gradients })
        }))
    }

    fn seconds(&self, _: &str, _: usize) -> Option<Vec<f64>> {
        None
    }
}
