//! A layer that an optimizer moves.

use masked_loss::{Accumulator, BceWithLogits, Head, Labels, Linear, Loss, Optimizer, Reduction, Rule};
use tch::{Kind, Tensor};

use super::layer::{Layer, labels};
use super::{losses, numbers};

/// A trainable layer and its optimizer.
pub struct Learner {
    pub layer: Layer,
    pub optimizer: Optimizer,
}

impl Learner {
    pub fn new(rule: Rule, decay: f64, kind: Kind) -> Self {
        let layer = Layer::draw(3, &losses(30)[0], [6, 30, 8], kind).tracked();
        let parameters = [&layer.weight, &layer.bias].map(Tensor::shallow_clone);
        Self { optimizer: Optimizer::new(rule, decay, &parameters).unwrap(), layer }
    }

    pub fn linear(&self, head: Head, sparse_gradient: bool) -> Linear<'_> {
        let Layer { weight, bias, .. } = &self.layer;
        Linear::new(weight, Some(bias)).with_head(head).with_sparse_gradient(sparse_gradient)
    }

    pub fn batch(time: u64) -> Labels {
        labels(time, [6, 30], if time % 7 == 3 { 0.0 } else { 0.08 }, false).to_sparse().unwrap()
    }

    pub fn step(&mut self, head: Head, sparse_gradient: bool, time: u64) {
        self.optimizer.zero_grad().unwrap();
        let batch = Self::batch(time);
        self.optimizer.catch_up(&batch).unwrap();
        let mut window = Accumulator::new(Reduction::Mean).unwrap();
        for rows in [[0i64, 1, 2].as_slice(), &[3, 4, 5]].map(Tensor::from_slice) {
            let hidden = self.layer.hidden.index_select(0, &rows);
            let (linear, batch) = (self.linear(head, sparse_gradient), batch.rows(&rows).unwrap());
            window.backward_linear(&BceWithLogits::default(), &hidden, &linear, &batch).unwrap();
        }
        let _ = window.finish(&[&self.layer.weight, &self.layer.bias].map(Tensor::shallow_clone)).unwrap();
        self.optimizer.step(0.05 / (1.0 + time as f64)).unwrap();
    }

    /// A step that moves the layer while its loss is computed.
    pub fn update(&mut self, head: Head, labels: &Labels, rate: f64) -> f64 {
        self.optimizer.zero_grad().unwrap();
        let update = self.optimizer.update(rate).unwrap();
        let Layer { hidden, weight, bias } = &self.layer;
        let linear = Linear::new(weight, Some(bias)).with_head(head).with_update(&update);
        let loss = BceWithLogits::default().forward_linear(hidden, &linear, labels, Reduction::Mean).unwrap();
        loss.backward();
        update.finish().unwrap();
        loss.double_value(&[])
    }

    pub fn bits(&self) -> [Vec<u64>; 2] {
        [&self.layer.weight, &self.layer.bias].map(|tensor| numbers(tensor).into_iter().map(f64::to_bits).collect())
    }
}
