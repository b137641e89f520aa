//! The weights behind an unobserved label.

use masked_loss::{Backend, BceWithLogits, Labels, Loss, Reduction};
use tch::nn::{self, OptimizerConfig};
use tch::{Kind, Tensor};

use crate::common::{backends, device, here, initialise, rng, tensor, uniform};

const UNOBSERVED: i64 = 1;

struct Layer {
    variables: nn::VarStore,
    linear: nn::Linear,
    features: Tensor,
}

impl Layer {
    fn new() -> Self {
        let mut rng = rng(7);
        let variables = nn::VarStore::new(device());
        let linear = nn::linear(variables.root(), 5, 3, Default::default());
        initialise(&linear, &mut rng);
        let features = tensor(&uniform(&mut rng, 8 * 5, -2.0..2.0), &[8, 5]).to_kind(Kind::Float);
        Self { variables, linear, features }
    }

    fn loss(&self, backend: Backend, labels: &Labels) -> Tensor {
        let logits = self.features.apply(&self.linear);
        BceWithLogits::default().forward_on(backend, &logits, labels, Reduction::Mean).unwrap()
    }

    /// The bits of a label's weights and bias.
    fn row(&self, label: i64) -> Vec<u32> {
        let bias = self.linear.bs.as_ref().unwrap();
        let numbers = Tensor::cat(&[self.linear.ws.get(label), bias.get(label).view(1)], 0);
        Vec::<f32>::try_from(numbers).unwrap().into_iter().map(f32::to_bits).collect()
    }
}

/// Labels of 8 rows; where `observed` is false, the middle one is missing everywhere.
fn labels(observed: bool) -> Labels {
    let values = tensor(&uniform(&mut rng(8), 8 * 3, 0.0..1.0), &[8, 3]).round();
    let mask = Tensor::ones([8, 3], here(Kind::Bool));
    if !observed {
        let _ = mask.select(1, UNOBSERVED).fill_(0);
    }
    Labels::from_mask(&values, &mask).unwrap()
}

#[test]
fn their_gradient_is_exactly_zero() {
    for backend in backends() {
        let layer = Layer::new();
        layer.loss(backend, &labels(false)).backward();
        let gradient = |label| layer.linear.ws.grad().get(label).abs().max().double_value(&[]);
        assert_eq!(gradient(UNOBSERVED), 0.0);
        assert_eq!(layer.linear.bs.as_ref().unwrap().grad().double_value(&[UNOBSERVED]), 0.0);
        assert!(gradient(0) > 0.0 && gradient(2) > 0.0);
    }
}

#[test]
fn sgd_leaves_their_bits_and_momentum_does_not() {
    for (momentum, stays) in [(0.0, true), (0.9, false)] {
        let layer = Layer::new();
        let mut optimizer = nn::Sgd { momentum, ..Default::default() }.build(&layer.variables, 0.1).unwrap();
        // A step in which the label is observed gives the optimizer a state.
        optimizer.backward_step(&layer.loss(Backend::Auto, &labels(true)));
        let (before, other) = (layer.row(UNOBSERVED), layer.row(0));
        for _ in 0..3 {
            optimizer.backward_step(&layer.loss(Backend::Auto, &labels(false)));
        }
        assert_eq!(layer.row(UNOBSERVED) == before, stays, "momentum {momentum}");
        assert_ne!(layer.row(0), other);
    }
}
