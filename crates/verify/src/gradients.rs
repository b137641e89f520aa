//! What `loss` and `set-loss` share: files of tensors in, values and gradients out.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tch::Tensor;

use crate::tensors::{Tensors, write};

#[derive(Args)]
pub struct Files {
    /// Safetensors file to read; may be repeated, each with an --output of its own
    #[arg(long, value_name = "IN", required = true)]
    input: Vec<PathBuf>,
    /// Safetensors file to write
    #[arg(long, value_name = "OUT", required = true)]
    output: Vec<PathBuf>,
}

/// The tensors of an output file, by name.
pub type Answer = Vec<(&'static str, Tensor)>;

impl Files {
    /// Answers each input. `compute` must use every tensor of the file.
    pub fn answer(&self, compute: impl Fn(&mut Tensors) -> Result<Answer>) -> Result<()> {
        ensure!(self.input.len() == self.output.len(), "every --input needs an --output");
        for (input, output) in self.input.iter().zip(&self.output) {
            let mut tensors = Tensors::read(input)?;
            let answer = compute(&mut tensors).and_then(|answer| {
                tensors.expect_none_left()?;
                Ok(answer)
            });
            write(&answer.with_context(|| input.display().to_string())?, output)?;
        }
        Ok(())
    }
}

/// The loss, and its gradient with respect to the logits. With an upstream gradient `u`, the gradient of `Σ u·ℓ`.
pub fn differentiate(loss: &Tensor, logits: &Tensor, upstream: Option<Tensor>) -> Result<Answer> {
    let scaled = match upstream {
        None => loss.shallow_clone(),
        Some(upstream) => {
            let (expected, found) = (loss.size(), upstream.size());
            ensure!(found == expected, "upstream: expected shape {expected:?}, found {found:?}");
            loss.f_mul(&upstream.f_to_kind(loss.f_kind()?)?)?
        }
    };
    scaled.f_sum(scaled.f_kind()?)?.f_backward()?;
    Ok(vec![("loss", loss.f_detach()?), ("grad", logits.f_grad()?)])
}
