//! Accumulation that equals one big batch, and weights that a guard restores.

use crate::common::{Case, device, here, initialise, numbers, rng, tensor, uniform, vector};
use masked_loss::{Accumulator, BceWithLogits, Error, Labels, Loss, Named, Reduction, RowGuard, Weights};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Kind, Tensor};

const ROWS: i64 = 64;

struct Problem {
    variables: nn::VarStore,
    layer: nn::Linear,
    features: Tensor,
    labels: Labels,
}

impl Problem {
    fn new() -> Self {
        let mut rng = rng(3);
        let mut variables = nn::VarStore::new(device());
        let layer = nn::linear(variables.root(), 6, 5, Default::default());
        variables.double();
        initialise(&layer, &mut rng);
        let case = Case::draw(&mut rng, &Named::new("bce", BceWithLogits::default()), &[ROWS, 5], 0.3, false);
        let weights = vector(&uniform(&mut rng, ROWS, 0.5..1.5));
        let labels = case.labels().with_weights(Weights::PerRow(&weights)).unwrap();
        let features = tensor(&uniform(&mut rng, ROWS * 6, -2.0..2.0), &[ROWS, 6]);
        Self { variables, layer, features, labels }
    }

    fn batch(&self, from: i64, to: i64) -> (Tensor, Labels) {
        let rows = Tensor::arange_start(from, to, here(Kind::Int64));
        (self.layer.forward(&self.features.index_select(0, &rows)), self.labels.rows(&rows).unwrap())
    }

    /// Returns the gradients, then sets them to zero.
    fn gradients(&self) -> Vec<f64> {
        let gradients = self.variables.trainable_variables().into_iter().flat_map(|variable| {
            let gradient = numbers(&variable.grad());
            let _ = variable.grad().zero_();
            gradient
        });
        gradients.collect()
    }
}

#[test]
fn a_window_is_one_big_batch() {
    let problem = Problem::new();
    let loss = BceWithLogits::default();
    for reduction in [
        Reduction::Mean,
        Reduction::Sum,
        Reduction::MeanAll,
        Reduction::MeanPerRow,
        Reduction::WeightedMean,
        Reduction::MeanOver(7.0),
    ] {
        let (logits, labels) = problem.batch(0, ROWS);
        let whole = loss.forward(&logits, &labels, reduction).unwrap();
        whole.backward();
        let (whole, expected) = (whole.double_value(&[]), problem.gradients());
        let mut window = Accumulator::new(reduction).unwrap();
        // Twice: a finished window leaves nothing behind.
        for _ in 0..2 {
            for (from, to) in [(0, 1), (1, 40), (40, 40), (40, 43), (43, ROWS)] {
                let (logits, labels) = problem.batch(from, to);
                window.backward(&loss, &logits, &labels).unwrap();
            }
            let found = window.finish(&problem.variables.trainable_variables()).unwrap();
            approx::assert_relative_eq!(found.double_value(&[]), whole, max_relative = 1e-13);
            for (found, expected) in problem.gradients().into_iter().zip(&expected) {
                approx::assert_relative_eq!(found, *expected, max_relative = 1e-12, epsilon = 1e-16);
            }
        }
    }
}

#[test]
fn the_mean_of_means_is_another_number() {
    // The accumulator avoids this; if it held, the test above could not fail.
    let problem = Problem::new();
    let mean = |from, to| {
        let (logits, labels) = problem.batch(from, to);
        BceWithLogits::default().forward(&logits, &labels, Reduction::Mean).unwrap().double_value(&[])
    };
    assert!(((mean(0, 1) + mean(1, ROWS)) / 2.0 - mean(0, ROWS)).abs() > 1e-3);
}

#[test]
fn a_window_without_labels_gives_zero_and_some_reductions_have_no_window() {
    let mut window = Accumulator::new(Reduction::Mean).unwrap();
    assert_eq!(window.finish(&[]).unwrap().double_value(&[]), 0.0);
    let logits = Tensor::zeros([2], here(Kind::Float)).set_requires_grad(true);
    let labels = Labels::from_nan(&vector(&[f32::NAN, f32::NAN])).unwrap();
    window.backward(&BceWithLogits::default(), &logits, &labels).unwrap();
    assert_eq!(window.finish(&[logits.shallow_clone()]).unwrap().double_value(&[]), 0.0);
    assert_eq!(numbers(&logits.grad()), [0.0, 0.0]);
    for reduction in [Reduction::None, Reduction::MeanPerLabel] {
        let refused = Accumulator::new(reduction).unwrap_err();
        assert!(matches!(refused, Error::Reduction { .. }), "{refused}");
    }
}

/// Trains on labels of which one is not observed from the second step on. Returns that label's weights after the first
/// step, and at the end.
fn train(optimizer: impl OptimizerConfig, guarded: bool) -> [Vec<f64>; 2] {
    const UNOBSERVED: i64 = 2;
    let problem = Problem::new();
    let mut optimizer = optimizer.build(&problem.variables, 0.1).unwrap();
    optimizer.set_weight_decay(0.01);
    let bias = problem.layer.bs.as_ref().unwrap();
    let row = || [numbers(&problem.layer.ws.get(UNOBSERVED)), numbers(&bias.get(UNOBSERVED))].concat();
    let mut first = Vec::new();
    for step in 0..4 {
        let (logits, labels) = problem.batch(0, ROWS);
        let mask = labels.observed().unwrap();
        if step > 0 {
            let _ = mask.select(1, UNOBSERVED).fill_(0);
        }
        let labels = Labels::from_mask(&labels.values().unwrap().nan_to_num(0.0, None, None), &mask).unwrap();
        optimizer.zero_grad();
        BceWithLogits::default().forward(&logits, &labels, Reduction::Mean).unwrap().backward();
        let guard = RowGuard::new(&labels.observed_per_label().unwrap(), &[&problem.layer.ws, bias]).unwrap();
        optimizer.step();
        if guarded {
            guard.restore().unwrap();
        }
        if step == 0 {
            first = row();
        }
    }
    [first, row()]
}

#[test]
fn guarded_rows_stay_to_the_bit_where_the_optimizer_remembers() {
    for guarded in [true, false] {
        for [first, last] in [
            train(nn::Adam::default(), guarded),
            train(nn::AdamW::default(), guarded),
            train(nn::Sgd { momentum: 0.9, ..Default::default() }, guarded),
        ] {
            // Without the guard every one of them moves.
            assert_eq!(first == last, guarded);
        }
    }
}

#[test]
fn a_guard_goes_by_the_labels_not_by_the_gradient() {
    // Observed, with a gradient of exactly zero: weight decay may move such a row.
    let mut weight = vector(&[1.0, 1.0, 1.0]);
    let guard = RowGuard::new(&vector(&[4i64, 0, 1]), &[&weight]).unwrap();
    let _ = weight.fill_(0.5);
    guard.restore().unwrap();
    assert_eq!(numbers(&weight), [0.5, 1.0, 0.5]);
}

#[test]
fn a_guard_needs_a_row_for_each_label() {
    let counts = vector(&[1i64, 0]);
    let refused = RowGuard::new(&counts, &[&Tensor::zeros([3, 2], here(Kind::Float))]).unwrap_err();
    assert_eq!(refused.to_string(), "weights: expected shape [2, ..], a row for each label, found [3, 2]");
    assert!(RowGuard::new(&counts.view([1, 2]), &[]).is_err());
    assert!(RowGuard::new(&counts, &[&Tensor::new()]).is_err());
}
