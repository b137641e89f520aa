//! The multilayer perceptron.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::nn::{self, Init, ModuleT};
use tch::{Device, Kind, Tensor};

/// What it takes to make a network.
pub struct Design {
    /// Units of each layer, from the inputs to the labels.
    pub widths: Vec<i64>,
    pub dropout: f64,
    pub standardize: bool,
    /// The number type of the products.
    pub kind: Kind,
}

impl Design {
    fn shape(&self) -> String {
        self.widths.iter().map(i64::to_string).collect::<Vec<_>>().join(" x ")
    }

    /// How many numbers the network has: weights and biases, and the mean and the deviation of each input.
    pub fn count(&self) -> Result<i64> {
        let widths = &self.widths;
        let standard = if self.standardize { widths[0].checked_mul(2) } else { Some(0) };
        let add = |sum: Option<i64>, layer: &[i64]| layer[0].checked_add(1)?.checked_mul(layer[1])?.checked_add(sum?);
        let count = widths.windows(2).fold(standard, add).filter(|_| widths.iter().all(|&width| width > 0));
        count.with_context(|| format!("there is no network of {} units", self.shape()))
    }
}

/// Linear layers with ReLU and dropout between them; one logit for each label comes out.
#[derive(Debug)]
pub struct Network {
    pub weights: nn::VarStore,
    /// Mean and deviation of the inputs. They are saved with the weights.
    standard: Option<[Tensor; 2]>,
    hidden: Vec<nn::Linear>,
    output: nn::Linear,
    dropout: f64,
    /// The number type of the products.
    kind: Kind,
}

impl Network {
    /// An error where there is no such network, or libtorch has no memory for it.
    pub fn new(design: &Design, device: Device) -> Result<Self> {
        design.count()?;
        ensure!((0.0..1.0).contains(&design.dropout), "the dropout is {}: expected 0 to below 1", design.dropout);
        Self::allocate(design, device).with_context(|| format!("cannot make a network of {} units", design.shape()))
    }

    fn allocate(design: &Design, device: Device) -> Result<Self> {
        let weights = nn::VarStore::new(device);
        let widths = &design.widths;
        let (input, inputs) = (weights.root() / "input", &widths[..1]);
        let standard = if design.standardize {
            Some([input.f_zeros_no_train("mean", inputs)?, input.f_ones_no_train("deviation", inputs)?])
        } else {
            None
        };
        let layer = |depth: usize, path| linear(path, widths[depth], widths[depth + 1]);
        let last = widths.len() - 2;
        let hidden = (0..last).map(|depth| layer(depth, weights.root() / "hidden" / depth)).collect::<Result<_>>()?;
        let output = layer(last, weights.root() / "output")?;
        Ok(Self { weights, standard, hidden, output, dropout: design.dropout, kind: design.kind })
    }

    /// Takes weights by name. One that is NaN or infinite is an error.
    pub fn restore(&self, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        // In order, so that the same one is reported every time.
        for (name, mut weight) in self.weights.variables().into_iter().collect::<BTreeMap<_, _>>() {
            let saved = find(&name).with_context(|| format!("there is no weight {name}"))?;
            ensure!(saved.size() == weight.size(), "{name} has shape {:?}, not {:?}", saved.size(), weight.size());
            tch::no_grad(|| weight.f_copy_(&saved))?;
            ensure!(weight.isfinite().all().int64_value(&[]) != 0, "{name} has numbers that are not finite");
        }
        Ok(())
    }

    /// Sets the mean and the deviation of the inputs, if the network standardizes them.
    pub fn standardize(&mut self, fitted: &[Tensor; 2]) {
        for (own, value) in self.standard.iter_mut().flatten().zip(fitted) {
            tch::no_grad(|| own.copy_(value));
        }
    }

    /// Those of its weights that have a row for each label.
    pub fn output_rows(&self) -> Vec<Tensor> {
        let output = |(name, weight): (String, Tensor)| name.starts_with("output.").then_some(weight);
        self.weights.variables().into_iter().filter_map(output).collect()
    }

    /// Takes the weights of a network of the same shape.
    pub fn copy_from(&mut self, other: &Self) -> Result<()> {
        Ok(self.weights.copy(&other.weights)?)
    }
}

impl Network {
    /// What the last layer takes.
    pub fn hidden(&self, inputs: &Tensor, train: bool) -> Tensor {
        let inputs = match &self.standard {
            Some([mean, deviation]) => (inputs - mean) / deviation,
            None => inputs.shallow_clone(),
        };
        let hidden = |x: Tensor, layer| self.apply(layer, &x).relu().dropout(self.dropout, train);
        self.hidden.iter().fold(inputs.to_kind(self.kind), hidden)
    }

    /// Weight and bias of the last layer, in the number type of the products.
    pub fn output(&self) -> [Tensor; 2] {
        self.parameters(&self.output)
    }

    fn parameters(&self, layer: &nn::Linear) -> [Tensor; 2] {
        [&layer.ws, layer.bs.as_ref().expect("every layer has a bias")].map(|parameter| parameter.to_kind(self.kind))
    }

    fn apply(&self, layer: &nn::Linear, x: &Tensor) -> Tensor {
        let [weight, bias] = self.parameters(layer);
        x.linear(&weight, Some(bias))
    }
}

impl ModuleT for Network {
    fn forward_t(&self, inputs: &Tensor, train: bool) -> Tensor {
        self.apply(&self.output, &self.hidden(inputs, train))
    }
}

/// With PyTorch's initial weights; tch's own are √6 times as large.
fn linear(path: nn::Path, inputs: i64, outputs: i64) -> Result<nn::Linear> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let init = Init::Uniform { lo: -bound, up: bound };
    let bias = path.f_var("bias", &[outputs], init)?;
    Ok(nn::Linear { ws: path.f_var("weight", &[outputs, inputs], init)?, bs: Some(bias) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let design = Design { widths: vec![1, 1], dropout: 0.0, standardize: false, kind: Kind::Float };
        let network = Network::new(&design, Device::Cpu).unwrap();
        let refused = |value: f64| network.restore(|_| Some(Tensor::full([1], value, (Kind::Float, Device::Cpu))));
        let found = refused(f64::INFINITY).unwrap_err().to_string();
        assert_eq!(found, "output.bias has numbers that are not finite");
    }
}
