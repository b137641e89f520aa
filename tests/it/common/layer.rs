//! A last layer with its loss, computed by any head.

use masked_loss::{Head, Labels, Linear, Loss, Named, Reduction};
use rand::Rng;
use tch::{Kind, Tensor};

use super::{REDUCTIONS, numbers, rng, uniform};

/// A layer on the CPU, with a batch of hidden vectors.
pub struct Layer {
    pub hidden: Tensor,
    pub weight: Tensor,
    pub bias: Tensor,
}

/// Loss, and gradients of hidden, weight and bias.
pub type Found = [Vec<f64>; 4];

impl Layer {
    /// Draws a layer whose logits are within the range that the loss accepts.
    pub fn draw(seed: u64, named: &Named, [rows, labels, width]: [i64; 3], kind: Kind) -> Self {
        let mut rng = rng(seed);
        let spread = if named.input_range.contains(&-8.0) { 1.0 } else { 0.4 / (width as f64) };
        let mut of = |size: &[i64], range: std::ops::Range<f64>| {
            Tensor::from_slice(&uniform(&mut rng, size.iter().product(), range)).view(size).to_kind(kind)
        };
        let (hidden, weight) = (of(&[rows, width], -1.0..1.0), of(&[labels, width], -spread..spread));
        Self { hidden, weight, bias: of(&[labels], 0.45..0.55) }
    }

    pub fn tracked(&self) -> Self {
        let [hidden, weight, bias] =
            [&self.hidden, &self.weight, &self.bias].map(|tensor| tensor.detach().copy().set_requires_grad(true));
        Self { hidden, weight, bias }
    }

    pub fn found(
        &self,
        head: Head,
        loss: &dyn Loss,
        labels: &Labels,
        reduction: Reduction,
        sparse_gradient: bool,
    ) -> Found {
        let layer = self.tracked();
        let linear =
            Linear::new(&layer.weight, Some(&layer.bias)).with_head(head).with_sparse_gradient(sparse_gradient);
        let loss = loss.forward_linear(&layer.hidden, &linear, labels, reduction).unwrap();
        (&loss * 0.5).backward();
        let gradient = |of: &Tensor| {
            numbers(&if of.grad().is_sparse() { of.grad().to_dense(None::<Kind>, false) } else { of.grad() })
        };
        [numbers(&loss), gradient(&layer.hidden), gradient(&layer.weight), gradient(&layer.bias)]
    }
}

pub fn labels(seed: u64, [rows, labels]: [i64; 2], share: f64, soft: bool) -> Labels {
    let mut rng = rng(seed);
    let mut cell = || match rng.random_bool(share) {
        true if soft => rng.random_range(0.0..1.0),
        true => f64::from(rng.random_bool(0.4)),
        false => f64::NAN,
    };
    let cells: Vec<f64> = (0..rows * labels).map(|_| cell()).collect();
    Labels::from_nan(&Tensor::from_slice(&cells).view([rows, labels])).unwrap()
}

/// Within some ULP of the largest number, which allows another order of summation.
pub fn close(what: &str, found: &Found, expected: &Found, epsilon: f64) {
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}, {place}");
        let largest = expected.iter().fold(0.0, |largest: f64, number| largest.max(number.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 24.0 * epsilon * largest, "{what}, {place}: {found}, {expected}");
        }
    }
}

pub const REDUCED: [Reduction; 7] = {
    let [_, rest @ ..] = REDUCTIONS;
    rest
};
