//! The optimizer of a network. Its state is saved under the names of the weights.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

/// With PyTorch's names and defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    #[default]
    Adam,
    /// Adam with decoupled weight decay.
    #[value(name = "adamw")]
    AdamW,
    /// With a momentum of 0.9.
    Sgd,
}

impl From<Rule> for masked_loss::Rule {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Adam => Self::ADAM,
            Rule::AdamW => Self::ADAM_W,
            Rule::Sgd => Self::Sgd { momentum: 0.9 },
        }
    }
}

/// What happens to the output weights of labels that a step does not observe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Unobserved {
    /// Momentum and weight decay move them.
    #[default]
    Move,
    /// The same bits as move, but updated only when next used: faster if few labels are observed.
    Wait,
    /// They and their optimizer state stay unchanged: fastest.
    Keep,
}

pub struct Optimizer {
    pub updates: masked_loss::Optimizer,
    names: Vec<String>,
    weights: Vec<Tensor>,
}

impl Optimizer {
    pub fn new(rule: Rule, weight_decay: f64, unobserved: Unobserved, weights: &VarStore) -> Result<Self> {
        let variables = weights.variables().into_iter().filter(|(_, weight)| weight.requires_grad());
        let mut variables: Vec<_> = variables.collect();
        // The order of a map differs from run to run.
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let (names, weights): (Vec<_>, Vec<_>) = variables.into_iter().unzip();
        let updates = masked_loss::Optimizer::new(rule.into(), weight_decay, &weights)?;
        let updates = if unobserved == Unobserved::Wait { updates.with_catch_up() } else { updates };
        Ok(Self { updates, names, weights })
    }

    pub fn weights(&self) -> &[Tensor] {
        &self.weights
    }

    /// Scales the gradients down so that their joint norm is at most `limit`.
    pub fn clip_gradients(&self, limit: f64) -> Result<()> {
        let gradients: Vec<Tensor> = self.weights.iter().map(Tensor::grad).filter(Tensor::defined).collect();
        if gradients.is_empty() {
            return Ok(());
        }
        tch::no_grad(|| {
            let norm = |gradient: &Tensor| match gradient.is_sparse() {
                // Several micro-batches may contribute to one row.
                true => gradient.f_coalesce()?.f_values()?.f_norm(),
                false => gradient.f_norm(),
            };
            let norms = gradients.iter().map(norm).collect::<Result<Vec<_>, _>>()?;
            let factor = (limit / (Tensor::f_stack(&norms, 0)?.f_norm()? + 1e-6)).f_clamp_max(1.0)?;
            for mut gradient in gradients {
                let _ = gradient.f_mul_(&factor)?;
            }
            Ok(())
        })
    }

    /// The state needed to resume, besides the number of steps.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let state = self.updates.state()?;
        let named = self.names.iter().zip(state).flat_map(|(name, tensors)| {
            ["first", "second"].into_iter().zip(tensors).map(move |(part, tensor)| (format!("{part}.{name}"), tensor))
        });
        Ok(named.collect())
    }

    pub fn restore(&mut self, steps: u64, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        let find = |name: String| find(&name).with_context(|| format!("the checkpoint has no {name}"));
        let parts = self.updates.state()?.first().map_or(0, Vec::len);
        let of =
            |name: &String| ["first", "second"][..parts].iter().map(|part| find(format!("{part}.{name}"))).collect();
        let state = self.names.iter().map(of).collect::<Result<Vec<Vec<_>>>>()?;
        Ok(self.updates.restore(steps, &state)?)
    }
}
