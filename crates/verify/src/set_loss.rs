//! A loss of rows, of labels or of the whole batch: `scripts/verify_set_losses.py` compares value and gradient with
//! PyTorch's.

use anyhow::Result;
use clap::{Args, ValueEnum};
use masked_loss::{Labels, Loss, NonNegativePu, Reduction, SoftmaxCrossEntropy, expected_positives};

use crate::gradients::{Answer, Files, differentiate};
use crate::tensors::Tensors;

/// Computes a loss that couples several entries, and its gradient.
///
/// IN holds `logits`; `labels`, NaN where missing, for all but `expected-positives`; the settings of the loss, vectors
/// and numbers, under their own names; and optionally `upstream`, the upstream gradient, in the loss's shape (default
/// 1).
///
/// OUT gets `loss` and `grad`, with respect to the logits.
#[derive(Args)]
pub struct Arguments {
    #[arg(long, value_name = "NAME")]
    loss: SetLoss,
    #[arg(long, value_name = "NAME", default_value = "mean")]
    reduction: SetReduction,
    #[command(flatten)]
    files: Files,
}

#[derive(Clone, Copy, ValueEnum)]
enum SetLoss {
    Softmax,
    Nnpu,
    ExpectedPositives,
}

#[derive(Clone, Copy, ValueEnum)]
enum SetReduction {
    None,
    Sum,
    Mean,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let reduction = match arguments.reduction {
        SetReduction::None => Reduction::None,
        SetReduction::Sum => Reduction::Sum,
        SetReduction::Mean => Reduction::Mean,
    };
    arguments.files.answer(|tensors| answer(arguments.loss, reduction, tensors))
}

fn answer(loss: SetLoss, reduction: Reduction, tensors: &mut Tensors) -> Result<Answer> {
    let logits = tensors.expect("logits")?.f_set_requires_grad(true)?;
    let value = match loss {
        SetLoss::Softmax => {
            let (weight, label_smoothing) = (tensors.vector("weight")?, tensors.expect_number("label_smoothing")?);
            SoftmaxCrossEntropy::default().with_weight(weight).with_label_smoothing(label_smoothing).forward(
                &logits,
                &labels(tensors)?,
                reduction,
            )?
        }
        SetLoss::Nnpu => {
            let prior = tensors.expect_vector("prior")?;
            let (beta, gamma) = (tensors.expect_number("beta")?, tensors.expect_number("gamma")?);
            NonNegativePu::new(prior).with_beta(beta).with_gamma(gamma).forward(
                &logits,
                &labels(tensors)?,
                reduction,
            )?
        }
        SetLoss::ExpectedPositives => expected_positives(&logits, tensors.expect_number("k")?)?,
    };
    differentiate(&value, &logits, tensors.take("upstream"))
}

fn labels(tensors: &mut Tensors) -> Result<Labels> {
    Ok(Labels::from_nan(&tensors.expect("labels")?)?)
}
