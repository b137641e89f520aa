//! What the tests share: the device, every loss, random cases, and promises that all losses keep.

mod device;
pub mod layer;
pub mod learner;
mod process;
mod promises;
mod tracked;

use std::ops::{Range, RangeInclusive};

use masked_loss::{Backend, BceWithLogits, Labels, Named, Reduction, UnbiasedBce, catalogue};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tch::nn;
use tch::{Device, Kind, Tensor};

pub use self::device::{backends, device, here, on_both_backends, on_the_cpu, tensor, vector};
pub use self::process::run_again;
pub use self::promises::Call;
pub use self::tracked::Tracked;

pub const REDUCTIONS: [Reduction; 8] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::Mean,
    Reduction::MeanAll,
    Reduction::MeanPerRow,
    Reduction::MeanPerLabel,
    Reduction::WeightedMean,
    Reduction::MeanOver(3.5),
];
pub const KINDS: [Kind; 4] = [Kind::Double, Kind::Float, Kind::Half, Kind::BFloat16];

/// Values at missing entries that must not affect anything.
pub const GARBAGE: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30];

/// Every loss, including those that need the number of labels.
pub fn losses(columns: usize) -> Vec<Named> {
    let each_from = |first: f64| (0..columns).map(|column| first + column as f64).collect();
    let mut losses = losses_alike_for_all_labels();
    losses.push(Named::new("bce, pos_weight", BceWithLogits::default().with_pos_weight(each_from(0.25))));
    losses.push(Named::new("unbiased-bce", UnbiasedBce::new(each_from(1.5))));
    losses
}

/// The catalogue, including settings that are off by default, but without per-label parameters.
pub fn losses_alike_for_all_labels() -> Vec<Named> {
    let mut losses = catalogue();
    losses.push(Named::new("bce, smoothed", BceWithLogits::default().with_label_smoothing(0.1)));
    losses
}

pub fn rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// A random input for a loss, and hard or soft labels.
pub struct Case {
    pub size: Vec<i64>,
    pub input: Vec<f64>,
    pub label: Vec<f64>,
    pub observed: Vec<bool>,
}

impl Case {
    pub fn draw(rng: &mut SmallRng, named: &Named, size: &[i64], share_observed: f64, soft: bool) -> Self {
        let count = size.iter().product::<i64>() as usize;
        let within = |range: &RangeInclusive<f64>, spread: f64, rng: &mut SmallRng| {
            rng.random_range(range.start().max(-spread)..=range.end().min(spread))
        };
        Self {
            size: size.to_vec(),
            input: (0..count).map(|_| within(&named.input_range, 8.0, rng)).collect(),
            label: (0..count)
                .map(|_| if soft { within(&named.label_range, 3.0, rng) } else { f64::from(rng.random_bool(0.4)) })
                .collect(),
            observed: (0..count).map(|_| rng.random_bool(share_observed)).collect(),
        }
    }

    pub fn input(&self, kind: Kind) -> Tensor {
        tensor(&self.input, &self.size).to_kind(kind)
    }

    pub fn labels(&self) -> Labels {
        Labels::from_mask(&tensor(&self.label, &self.size), &self.mask()).unwrap()
    }

    /// NaN where missing.
    pub fn raw(&self) -> Tensor {
        tensor(&self.label, &self.size).masked_fill(&self.mask().logical_not(), f64::NAN)
    }

    pub fn mask(&self) -> Tensor {
        tensor(&self.observed, &self.size)
    }

    /// The same case with `garbage` in every missing input and label.
    pub fn spoilt(&self, garbage: f64) -> Self {
        let spoil = |values: &[f64]| {
            values
                .iter()
                .zip(&self.observed)
                .map(|(&value, &observed)| if observed { value } else { garbage })
                .collect()
        };
        Self {
            size: self.size.clone(),
            input: spoil(&self.input),
            label: spoil(&self.label),
            observed: self.observed.clone(),
        }
    }
}

/// Random numbers, uniformly distributed over a range.
pub fn uniform(rng: &mut SmallRng, count: i64, range: Range<f64>) -> Vec<f64> {
    (0..count).map(|_| rng.random_range(range.clone())).collect()
}

/// Draws a layer's weights from `rng`: libtorch's random state is shared with other tests.
pub fn initialise(layer: &nn::Linear, rng: &mut SmallRng) {
    for parameter in [Some(&layer.ws), layer.bs.as_ref()].into_iter().flatten() {
        let values = tensor(&uniform(rng, parameter.numel() as i64, -0.5..0.5), &parameter.size());
        tch::no_grad(|| parameter.shallow_clone().copy_(&values));
    }
}

/// The numbers of a tensor on any device.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// Loss and gradient, for an upstream gradient of `upstream` at every element of the loss.
pub fn value_and_gradient(
    named: &Named,
    backend: Backend,
    input: &Tensor,
    labels: &Labels,
    reduction: Reduction,
    upstream: f64,
) -> (Vec<f64>, Vec<f64>) {
    backward(input, upstream, |leaf| named.loss.forward_on(backend, leaf, labels, reduction).unwrap())
}

/// A function's value and gradient, for an upstream gradient of `upstream` at every element of the value.
pub fn backward(input: &Tensor, upstream: f64, function: impl Fn(&Tensor) -> Tensor) -> (Vec<f64>, Vec<f64>) {
    let leaf = input.detach().copy().set_requires_grad(true);
    let value = function(&leaf);
    (&value * upstream).sum(value.kind()).backward();
    assert!(leaf.grad().defined(), "the graph is attached");
    (numbers(&value), numbers(&leaf.grad()))
}

/// For loops: `(backend, reduction, kind)` in all combinations.
pub fn combinations() -> impl Iterator<Item = (Backend, Reduction, Kind)> {
    backends().flat_map(|backend| {
        REDUCTIONS.into_iter().flat_map(move |reduction| KINDS.into_iter().map(move |kind| (backend, reduction, kind)))
    })
}
