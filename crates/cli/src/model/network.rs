//! The multilayer perceptron.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::nn::{self, Init};
use tch::{Device, Kind, Tensor};

use crate::data::{Batch, Block};

const FIRST: &str = "hidden.0.weight";

/// The shape and the settings of a network.
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

    /// Count of the network's numbers: weights and biases, and the mean and the deviation of each input.
    pub fn count(&self) -> Result<i64> {
        let widths = &self.widths;
        let standard = if self.standardize { widths[0].checked_mul(2) } else { Some(0) };
        let add = |sum: Option<i64>, layer: &[i64]| layer[0].checked_add(1)?.checked_mul(layer[1])?.checked_add(sum?);
        let is_possible = widths.len() > 2 && widths.iter().all(|&width| width > 0);
        let count = widths.windows(2).fold(standard, add).filter(|_| is_possible);
        count.with_context(|| format!("a network of {} units is impossible", self.shape()))
    }
}

/// Linear layers with ReLU and dropout between them; the output is one logit per label.
#[derive(Debug)]
pub struct Network {
    pub weights: nn::VarStore,
    /// Mean and deviation of the inputs. They are saved with the weights.
    standard: Option<[Tensor; 2]>,
    /// Its weight has a row for each input, not for each unit, so that rows of zero inputs need not be read.
    first: nn::Linear,
    hidden: Vec<nn::Linear>,
    output: nn::Linear,
    dropout: f64,
    /// The number type of the products.
    kind: Kind,
}

impl Network {
    /// Fails if the design is impossible, or if libtorch runs out of memory.
    pub fn new(design: &Design, device: Device) -> Result<Self> {
        design.count()?;
        ensure!((0.0..1.0).contains(&design.dropout), "dropout: expected 0 to below 1, found {}", design.dropout);
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
        let root = weights.root();
        let first = first(&root / "hidden" / 0, widths[0], widths[1])?;
        let layer = |depth: usize, path| linear(path, widths[depth], widths[depth + 1]);
        let last = widths.len() - 2;
        let hidden = (1..last).map(|depth| layer(depth, &root / "hidden" / depth)).collect::<Result<_>>()?;
        let output = layer(last, &root / "output")?;
        Ok(Self { weights, standard, first, hidden, output, dropout: design.dropout, kind: design.kind })
    }

    /// All weights in the layout of files: with a row for each unit.
    pub fn named(&self) -> BTreeMap<String, Tensor> {
        let turned = |(name, weight): (String, Tensor)| match name == FIRST {
            true => (name, weight.tr()),
            false => (name, weight),
        };
        self.weights.variables().into_iter().map(turned).collect()
    }

    /// Takes weights by name. A NaN or infinite weight is an error.
    pub fn restore(&self, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        // In order, so that the same one is reported every time.
        for (name, mut weight) in self.named() {
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

    /// The weights that have a row for each label.
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
    /// The input of the last layer.
    pub fn hidden(&self, batch: &Batch, train: bool) -> Tensor {
        let activated = |x: Tensor| x.relu().dropout(self.dropout, train);
        let layer = |x: Tensor, layer| {
            let [weight, bias] = self.parameters(layer);
            activated(x.linear(&weight, Some(bias)))
        };
        self.hidden.iter().fold(activated(self.apply_first(batch)), layer)
    }

    fn apply_first(&self, batch: &Batch) -> Tensor {
        let [weight, bias] = self.parameters(&self.first);
        let dense = |inputs: Tensor| inputs.to_kind(self.kind).linear(&weight.tr(), None::<Tensor>);
        let products = match &self.standard {
            Some([mean, deviation]) => dense((batch.dense() - mean) / deviation),
            None if self.kind != Kind::Float => dense(batch.dense()),
            None => {
                let (blocks, mut start) = (batch.blocks(), 0);
                let products = blocks.iter().map(|block| {
                    // The gradient of a part is copied into that of the whole.
                    let is_all = blocks.len() == 1;
                    let rows = if is_all { weight.shallow_clone() } else { weight.narrow(0, start, block.width()) };
                    start += block.width();
                    match block {
                        Block::Sparse(csr) => csr.times(&rows),
                        block => block.dense().linear(&rows.tr(), None::<Tensor>),
                    }
                });
                products.reduce(|sum, product| sum + product).expect("features have a block")
            }
        };
        products + bias
    }

    /// Weight and bias of the last layer, in the number type of the products.
    pub fn output(&self) -> [Tensor; 2] {
        self.parameters(&self.output)
    }

    fn parameters(&self, layer: &nn::Linear) -> [Tensor; 2] {
        [&layer.ws, layer.bs.as_ref().expect("every layer has a bias")].map(|parameter| parameter.to_kind(self.kind))
    }

    /// Number of inputs of the last layer.
    pub fn hidden_width(&self) -> i64 {
        self.output.ws.size()[1]
    }

    /// Units of the widest of the last two layers.
    pub fn widest(&self) -> i64 {
        self.output.ws.size().into_iter().max().unwrap_or(0)
    }
}

/// With PyTorch's initial weights; tch's own are √6 times as large.
fn linear(path: nn::Path, inputs: i64, outputs: i64) -> Result<nn::Linear> {
    let init = initial(inputs);
    let bias = path.f_var("bias", &[outputs], init)?;
    Ok(nn::Linear { ws: path.f_var("weight", &[outputs, inputs], init)?, bs: Some(bias) })
}

/// With the same initial weights, stored with a row for each input.
fn first(path: nn::Path, inputs: i64, outputs: i64) -> Result<nn::Linear> {
    let init = initial(inputs);
    let bias = path.f_var("bias", &[outputs], init)?;
    let mut weight = Tensor::f_empty([outputs, inputs], (Kind::Float, path.device()))?;
    init.set(&mut weight);
    Ok(nn::Linear { ws: path.f_var_copy("weight", &weight.tr())?, bs: Some(bias) })
}

fn initial(inputs: i64) -> Init {
    let bound = 1.0 / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Csr, Features};

    fn network(inputs: i64) -> Network {
        let design = Design { widths: vec![inputs, 7, 3], dropout: 0.0, standardize: false, kind: Kind::Float };
        Network::new(&design, Device::Cpu).unwrap()
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let network = network(1);
        let refused = |value: f64| network.restore(|name| Some(network.named()[name].full_like(value)));
        let found = refused(f64::INFINITY).unwrap_err().to_string();
        assert_eq!(found, "hidden.0.bias has numbers that are not finite");
    }

    /// Logits of some rows, and the gradient of the first weight.
    fn found(network: &Network, blocks: Vec<Block>, sparse: &[bool]) -> [Tensor; 2] {
        let features = Features::new(blocks, None);
        let batch = features.batch(&Tensor::from_slice(&[4i64, 0, 4, 9]));
        let is_sparse: Vec<_> = batch.blocks().iter().map(|block| matches!(block, Block::Sparse(_))).collect();
        assert_eq!(is_sparse, sparse);
        let [weight, bias] = network.output();
        let logits = network.hidden(&batch, false).linear(&weight, Some(bias));
        let loss = logits.square().sum(Kind::Float);
        let gradient = Tensor::run_backward(&[loss], &[&network.first.ws], false, false).remove(0);
        [logits, gradient]
    }

    #[test]
    fn sparse_inputs_give_the_logits_and_gradients_of_dense_ones() {
        // Row 4 is all 0; some cells are 2 or 3.
        let index = |limit: i64| Tensor::arange(limit, (Kind::Int64, Device::Cpu));
        let cells = (index(10).unsqueeze(1) * 16 + index(16)).remainder(11).eq(0).to_kind(Kind::Uint8);
        let cells = cells * index(10).ne(4).to_kind(Kind::Uint8).unsqueeze(1);
        let counts = (&cells * (index(16).remainder(3) + 1)).to_kind(Kind::Uint8);
        let powers = Tensor::from_slice(&[128u8, 64, 32, 16, 8, 4, 2, 1]);
        let bytes = (cells.view([10, 2, 8]) * powers).sum_dim_intlist(2i64, false, Kind::Uint8);
        let csr = |cells: &Tensor| Block::Sparse(Csr::of_dense(cells));
        let bits = || Block::Bits { bytes: bytes.shallow_clone(), width: 16 };
        let numbers = || index(10).to_kind(Kind::Float).view([10, 1]).sin();
        let cases = [
            (vec![bits()], &[true][..], cells.shallow_clone()),
            (vec![Block::Dense(counts.shallow_clone())], &[true], counts.shallow_clone()),
            (vec![csr(&counts)], &[true], counts.shallow_clone()),
            (
                vec![csr(&counts), Block::Dense(numbers()), bits()],
                &[true, false, true],
                Tensor::cat(&[counts.to_kind(Kind::Float), numbers(), cells.to_kind(Kind::Float)], 1),
            ),
            (vec![Block::Dense(numbers())], &[false], numbers()),
        ];
        for (blocks, sparse, dense) in cases {
            // Too full to be taken for sparse.
            let width = dense.size()[1];
            let full =
                Tensor::cat(&[dense.to_kind(Kind::Float), Tensor::ones([3, width], (Kind::Float, Device::Cpu))], 0);
            // The same for both: tests that run beside this one draw random numbers too.
            let network = network(width);
            let expected = found(&network, vec![Block::Dense(full)], &[false]);
            for (found, expected) in found(&network, blocks, sparse).iter().zip(expected) {
                let largest = (found - &expected).abs().max().double_value(&[]);
                assert!(found.size() == expected.size() && largest < 1e-5, "{sparse:?}: {largest}");
            }
        }
    }
}
