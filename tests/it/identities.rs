//! Identities: losses that are equal for some setting, closed forms of gradients, and PyTorch's own regression losses.

use crate::common::{backends, here, numbers, value_and_gradient, vector};
use masked_loss::{
    AbsoluteError, Asymmetric, Backend, BceWithLogits, Elementwise, Hill, Huber, Labels, Loss, Named, Reduction,
    SigmoidFocal, SquaredError, UnbiasedBce,
};
use tch::{Kind, Tensor};

/// Logits from -`end` to `end`, 0 among them.
fn logits(end: f64) -> Tensor {
    Tensor::linspace(-end, end, 2001, here(Kind::Double))
}

/// Value and gradient of each entry against one label.
fn entries(loss: impl Elementwise + 'static, backend: Backend, x: &Tensor, y: f64) -> [Vec<f64>; 2] {
    let labels = Labels::complete(&x.full_like(y)).unwrap();
    value_and_gradient(&Named::new("", loss), backend, x, &labels, Reduction::None, 1.0).into()
}

/// Equal to a relative error, or to an absolute one.
fn close(found: &[Vec<f64>], expected: &[Vec<f64>], relative: f64, absolute: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        for (&found, &expected) in found.iter().zip(expected) {
            approx::assert_relative_eq!(found, expected, max_relative = relative, epsilon = absolute);
        }
    }
}

#[test]
fn focal_loss_without_focus_is_binary_cross_entropy() {
    let focal = SigmoidFocal::default().with_alpha(None).with_gamma(0.0);
    for backend in backends() {
        for y in [0.0, 0.3, 1.0] {
            let bce = entries(BceWithLogits::default(), backend, &logits(100.0), y);
            close(&entries(focal, backend, &logits(100.0), y), &bce, 1e-15, 0.0);
        }
    }
}

#[test]
fn asymmetric_loss_without_asymmetry_is_binary_cross_entropy() {
    let symmetric = Asymmetric::default()
        .with_gamma_positive(0.0)
        .with_gamma_negative(0.0)
        .with_clip(0.0)
        .with_detach_weights(false);
    for backend in backends() {
        for y in [0.0, 0.3, 1.0] {
            // From 18.4 on, the floor of its logarithms applies.
            let bce = entries(BceWithLogits::default(), backend, &logits(18.0), y);
            close(&entries(symmetric, backend, &logits(18.0), y), &bce, 1e-14, 1e-15);
        }
    }
}

#[test]
fn hill_loss_has_the_gradient_of_its_closed_form() {
    let x = logits(100.0);
    let (p, rest) = (numbers(&x.sigmoid()), numbers(&(-&x).sigmoid()));
    for backend in backends() {
        for lambda in [1.0, 1.5, 2.0] {
            let [_, gradient] = entries(Hill::default().with_lambda(lambda), backend, &x, 0.0);
            for ((&p, &rest), gradient) in p.iter().zip(&rest).zip(gradient) {
                let exact = p * p * rest * ((2.0 * lambda - 3.0) + 3.0 * rest);
                // Where the gradient crosses 0, compare it with the size of its terms.
                let epsilon = if lambda == 1.5 { f64::MIN_POSITIVE } else { 1e-15 * p * p * rest };
                approx::assert_relative_eq!(gradient, exact, max_relative = 1e-14, epsilon = epsilon);
            }
        }
        // For a positive at the margin, both sigmoids are ½.
        let [value, gradient] = entries(Hill::default(), backend, &vector(&[1.0]), 1.0);
        let ln_half = 0.5f64.ln();
        close(&[value, gradient], &[vec![-0.25 * ln_half], vec![0.25 * (ln_half - 0.5)]], 1e-15, 0.0);
    }
}

#[test]
fn unbiased_loss_with_nothing_missed_is_binary_cross_entropy() {
    let unbiased = |number| UnbiasedBce::new(vec![number; 2001]);
    for backend in backends() {
        for y in [0.0, 0.3, 1.0] {
            let bce = entries(BceWithLogits::default(), backend, &logits(100.0), y);
            close(&entries(unbiased(1.0), backend, &logits(100.0), y), &bce, 1e-15, 0.0);
        }
    }
}

#[test]
fn unbiased_loss_is_on_average_that_of_a_positive() {
    // Seen as a positive with probability π, else as a negative.
    let (propensity, x) = (0.25, logits(20.0));
    for backend in backends() {
        let unbiased = |y| entries(UnbiasedBce::new(vec![1.0 / propensity; 2001]), backend, &x, y);
        let positive = entries(BceWithLogits::default(), backend, &x, 1.0);
        for (part, positive) in positive.into_iter().enumerate() {
            let (seen, missed) = (&unbiased(1.0)[part], &unbiased(0.0)[part]);
            for i in 0..positive.len() {
                let average = propensity * seen[i] + (1.0 - propensity) * missed[i];
                approx::assert_abs_diff_eq!(average, positive[i], epsilon = 1e-14);
            }
        }
    }
}

#[test]
fn the_convex_bound_of_the_unbiased_loss_is_bce_with_a_weight() {
    let (propensity, x) = (0.25, logits(20.0));
    let unbiased = UnbiasedBce::new(vec![1.0 / propensity; 2001]);
    let bound = BceWithLogits::default().with_pos_weight(vec![2.0 / propensity - 1.0; 2001]);
    let value = |loss: &dyn Loss, y: f64| {
        numbers(&loss.forward(&x, &Labels::complete(&x.full_like(y)).unwrap(), Reduction::None).unwrap())
    };
    assert_eq!(value(&bound, 0.0), value(&unbiased, 0.0));
    let (bound, unbiased) = (value(&bound, 1.0), value(&unbiased, 1.0));
    assert!(unbiased.iter().any(|&loss| loss < 0.0) && bound.iter().all(|&loss| loss > 0.0));
    let [positive, negative] = [1.0, 0.0].map(|y| value(&BceWithLogits::default(), y));
    for i in 0..bound.len() {
        let above = (1.0 / propensity - 1.0) * (positive[i] + negative[i]);
        approx::assert_relative_eq!(bound[i] - unbiased[i], above, max_relative = 1e-13);
    }
}

#[test]
fn huber_loss_that_is_never_far_is_half_the_squared_error() {
    for backend in backends() {
        for kind in [Kind::Double, Kind::Float] {
            let x = logits(1e4).to_kind(kind);
            let squared = entries(SquaredError, backend, &x, 0.5);
            let twice = entries(Huber::default().with_delta(1e30), backend, &x, 0.5)
                .map(|numbers| numbers.into_iter().map(|number| 2.0 * number).collect());
            close(&twice, &squared, 0.0, 0.0);
        }
    }
}

#[test]
fn regression_losses_are_pytorchs() {
    // Ties, both sides of Huber's bend and the bend itself, far out, and infinite.
    let x = [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e-30, 1e3, -1e3, 1e15, f64::INFINITY, f64::NEG_INFINITY];
    let none = tch::Reduction::None;
    type Theirs = Box<dyn Fn(&Tensor, &Tensor) -> Tensor>;
    let pairs: [(Named, Theirs); 4] = [
        (Named::new("huber", Huber::default()), Box::new(move |x, y| x.huber_loss(y, none, 1.0))),
        (Named::new("huber, 2.5", Huber::default().with_delta(2.5)), Box::new(move |x, y| x.huber_loss(y, none, 2.5))),
        (Named::new("squared", SquaredError), Box::new(move |x, y| x.mse_loss(y, none))),
        (Named::new("absolute", AbsoluteError), Box::new(move |x, y| x.l1_loss(y, none))),
    ];
    for (named, theirs) in &pairs {
        for (backend, kind) in backends().flat_map(|backend| [(backend, Kind::Double), (backend, Kind::Float)]) {
            for y in [0.0, 0.5, -7.25] {
                let x = vector(&x).to_kind(kind).set_requires_grad(true);
                let y = x.detach().full_like(y);
                let found =
                    value_and_gradient(named, backend, &x, &Labels::complete(&y).unwrap(), Reduction::None, 1.0);
                let theirs = theirs(&x, &y);
                theirs.sum(kind).backward();
                close(&<[_; 2]>::from(found), &[numbers(&theirs), numbers(&x.grad())], 0.0, 0.0);
            }
        }
    }
}
