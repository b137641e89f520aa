//! Optimizers whose state can be saved; that of tch's own cannot.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

/// By PyTorch's names and with its defaults.
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

const MOMENTUM: f64 = 0.9;
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// An update rule, and what it remembers of each weight.
pub struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    /// How many steps were taken.
    pub steps: u64,
    variables: Vec<Variable>,
}

struct Variable {
    name: String,
    weight: Tensor,
    /// Adam's first moment, or the momentum.
    first: Tensor,
    /// Adam's second moment; of SGD it stays 0.
    second: Tensor,
}

impl Optimizer {
    pub fn new(rule: Rule, weight_decay: f64, weights: &VarStore) -> Self {
        let mut variables: Vec<_> = weights
            .variables()
            .into_iter()
            .filter(|(_, weight)| weight.requires_grad())
            .map(|(name, weight)| Variable { first: weight.zeros_like(), second: weight.zeros_like(), name, weight })
            .collect();
        // The order of a map differs from run to run.
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        Self { rule, weight_decay, steps: 0, variables }
    }

    pub fn weights(&self) -> Vec<Tensor> {
        self.variables.iter().map(|variable| variable.weight.shallow_clone()).collect()
    }

    pub fn zero_grad(&self) {
        for Variable { weight, .. } in &self.variables {
            let mut gradient = weight.grad();
            if gradient.defined() {
                let _ = gradient.zero_();
            }
        }
    }

    /// Scales the gradients down to a norm of `limit`, all taken together.
    pub fn clip_gradients(&self, limit: f64) {
        let gradients: Vec<Tensor> =
            self.variables.iter().map(|variable| variable.weight.grad()).filter(Tensor::defined).collect();
        if gradients.is_empty() {
            return;
        }
        tch::no_grad(|| {
            let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
            let factor = (limit / (Tensor::stack(&norms, 0).norm() + 1e-6)).clamp_max(1.0);
            for mut gradient in gradients {
                let _ = gradient.g_mul_(&factor);
            }
        });
    }

    pub fn step(&mut self, rate: f64) {
        self.steps += 1;
        let [beta, beta_square] = BETAS.map(|beta| 1.0 - beta.powf(self.steps as f64));
        tch::no_grad(|| {
            for Variable { weight, first, second, .. } in &mut self.variables {
                let mut gradient = weight.grad();
                if !gradient.defined() {
                    continue;
                }
                // In place: fresh memory for every weight costs more than the arithmetic. The gradient is not needed again.
                if self.weight_decay > 0.0 {
                    match self.rule {
                        Rule::AdamW => *weight *= 1.0 - rate * self.weight_decay,
                        Rule::Adam | Rule::Sgd => gradient += &*weight * self.weight_decay,
                    }
                }
                if self.rule == Rule::Sgd {
                    *first *= MOMENTUM;
                    *first += &gradient;
                    *weight -= &*first * rate;
                    continue;
                }
                let _ = first.lerp_(&gradient, 1.0 - BETAS[0]);
                let _ = second.lerp_(&gradient.square_(), 1.0 - BETAS[1]);
                let mut scale = second.sqrt();
                scale /= beta_square.sqrt();
                scale += EPSILON;
                scale *= -beta / rate;
                let _ = weight.addcdiv_(&*first, &scale);
            }
        });
    }

    /// What it takes to resume, besides the number of steps.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let tensors = |Variable { name, first, second, .. }: &Variable| {
            [("first", first), ("second", second)]
                .map(|(part, tensor)| (format!("{part}.{name}"), tensor.shallow_clone()))
        };
        self.variables.iter().flat_map(tensors).collect()
    }

    pub fn restore(&mut self, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        for Variable { name, first, second, .. } in &mut self.variables {
            for (part, tensor) in [("first", first), ("second", second)] {
                let name = format!("{part}.{name}");
                let saved = find(&name).with_context(|| format!("the checkpoint has no {name}"))?;
                tensor.f_copy_(&saved).with_context(|| format!("{name} is of another shape"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::{self, OptimizerConfig};

    use super::*;

    /// A weight after ten steps down a slope that changes.
    fn walk(weights: &VarStore, mut step: impl FnMut()) -> Vec<f64> {
        let weight = weights.variables().remove("weight").unwrap();
        tch::no_grad(|| weight.shallow_clone().copy_(&Tensor::from_slice(&[1.0f32, -2.0, 0.5])));
        for time in 0..10 {
            let mut gradient = weight.grad();
            if gradient.defined() {
                let _ = gradient.zero_();
            }
            let target = Tensor::from_slice(&[0.3f32, 0.1, -1.0]) * f64::from(time).sin();
            ((&weight - target).square() * 0.5).sum(tch::Kind::Float).backward();
            step();
        }
        Vec::try_from(&weight.to_kind(tch::Kind::Double)).unwrap()
    }

    fn agrees(rule: Rule, theirs: impl OptimizerConfig) {
        let [a, b] = [(); 2].map(|()| VarStore::new(Device::Cpu));
        for store in [&a, &b] {
            let _ = store.root().zeros("weight", &[3]);
        }
        let mut ours = Optimizer::new(rule, 0.01, &a);
        let mut theirs = theirs.build(&b, 0.1).unwrap();
        theirs.set_weight_decay(0.01);
        let (ours, theirs) = (walk(&a, || ours.step(0.1)), walk(&b, || theirs.step()));
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6), "{rule:?}: {ours:?}, not {theirs:?}");
    }

    #[test]
    fn steps_are_those_of_libtorch() {
        agrees(Rule::Adam, nn::Adam::default());
        agrees(Rule::AdamW, nn::AdamW { wd: 0.01, ..Default::default() });
        agrees(Rule::Sgd, nn::Sgd { momentum: 0.9, ..Default::default() });
    }
}
