//! A loss that is not of single entries, on files of tensors, value and gradient out: `scripts/verify_set_losses.py` holds
//! them against PyTorch.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use masked_loss::{Labels, Loss, NonNegativePu, Reduction, SoftmaxCrossEntropy, expected_positives};
use tch::{Kind, Tensor};

/// Computes a loss and its gradient.
///
/// IN holds `logits` and `upstream`, the gradient that comes from above; `labels`, NaN where missing, for all but
/// `expected-positives`; and the settings of the loss, vectors and numbers, under their own names.
///
/// OUT gets `loss` and `grad`, with respect to the logits.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    loss: Name,
    #[arg(long, default_value = "mean")]
    reduction: By,
    /// Safetensors file to read; may be repeated, each with an --output of its own
    #[arg(long, value_name = "IN", required = true)]
    input: Vec<PathBuf>,
    /// Safetensors file to write
    #[arg(long, value_name = "OUT", required = true)]
    output: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Softmax,
    Nnpu,
    ExpectedPositives,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    None,
    Sum,
    Mean,
}

fn main() -> Result<()> {
    let Arguments { loss, reduction, input, output } = Arguments::parse();
    ensure!(input.len() == output.len(), "every --input needs an --output");
    for (input, output) in input.iter().zip(&output) {
        let file = File(Tensor::read_safetensors(input)?.into_iter().collect());
        let answer = answer(loss, reduction, &file).with_context(|| input.display().to_string())?;
        Tensor::write_safetensors(&answer, output)?;
    }
    Ok(())
}

fn answer(loss: Name, reduction: By, file: &File) -> Result<[(&'static str, Tensor); 2]> {
    let reduction = match reduction {
        By::None => Reduction::None,
        By::Sum => Reduction::Sum,
        By::Mean => Reduction::Mean,
    };
    let logits = file.tensor("logits")?.f_set_requires_grad(true)?;
    let labels = || Ok::<_, anyhow::Error>(Labels::from_nan(file.tensor("labels")?)?);
    let value = match loss {
        Name::Softmax => {
            let weight = file.0.contains_key("weight").then(|| file.numbers("weight")).transpose()?;
            let loss = SoftmaxCrossEntropy { weight, label_smoothing: file.number("label_smoothing")? };
            loss.forward(&logits, &labels()?, reduction)?
        }
        Name::Nnpu => {
            let (prior, beta, gamma) = (file.numbers("prior")?, file.number("beta")?, file.number("gamma")?);
            NonNegativePu { prior, beta, gamma }.forward(&logits, &labels()?, reduction)?
        }
        Name::ExpectedPositives => expected_positives(&logits, file.number("k")?)?,
    };
    let scaled = value.f_mul(&file.tensor("upstream")?.f_to_kind(value.f_kind()?)?)?;
    scaled.f_sum(scaled.f_kind()?)?.f_backward()?;
    Ok([("loss", value.f_detach()?.f_contiguous()?), ("grad", logits.f_grad()?.f_contiguous()?)])
}

struct File(HashMap<String, Tensor>);

impl File {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).with_context(|| format!("there is no tensor `{name}`"))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let flat = self.tensor(name)?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
        Ok(Vec::try_from(flat)?)
    }

    fn number(&self, name: &str) -> Result<f64> {
        let numbers = self.numbers(name)?;
        ensure!(numbers.len() == 1, "{name}: expected one number, found {}", numbers.len());
        Ok(numbers[0])
    }
}
