//! The risk of positive and unlabelled data, compared with plain arithmetic: one label and one number at a time.

use crate::common::{KINDS, backward, here, numbers, rng, tensor, uniform, vector};
use masked_loss::{Error, Labels, NonNegativePu, Reduction, Weights};
use rand::Rng;
use tch::{Kind, Tensor};

const ROWS: usize = 6;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// `(R⁺, R⁻)` of one label.
fn risks(x: &[f64], positive: &[bool], prior: f64) -> (f64, f64) {
    let among = |wanted: bool, sign: f64| {
        mean(x.iter().zip(positive).filter(|(_, is)| **is == wanted).map(|(x, _)| sigmoid(sign * x)))
    };
    (prior * among(true, -1.0), among(false, 1.0) - prior * among(true, 1.0))
}

/// The value, and the function whose slope is the gradient: the two are equal unless the risk is bounded.
fn expected(loss: &NonNegativePu, label: usize, x: &[f64], positive: &[bool]) -> (f64, Vec<f64>) {
    let of = |x: &[f64]| risks(x, positive, loss.prior[label]);
    let (r_plus, r_minus) = of(x);
    let bounded = r_minus < -loss.beta;
    let sloping = |x: &[f64]| {
        let (r_plus, r_minus) = of(x);
        if bounded { -loss.gamma * r_minus } else { r_plus + r_minus }
    };
    let step = 1e-5;
    let slope = |row: usize| {
        let moved = |by: f64| {
            let mut moved = x.to_vec();
            moved[row] += by;
            sloping(&moved)
        };
        (moved(step) - moved(-step)) / (2.0 * step)
    };
    (if bounded { r_plus - loss.beta } else { r_plus + r_minus }, (0..x.len()).map(slope).collect())
}

fn labels(positive: &[bool], size: &[i64]) -> Labels {
    let cells: Vec<f64> = positive.iter().map(|&is| if is { 1.0 } else { f64::NAN }).collect();
    Labels::from_nan(&tensor(&cells, size)).unwrap()
}

/// Every label's value, and the gradient of their sum.
fn found(loss: &NonNegativePu, logits: &Tensor, labels: &Labels) -> (Vec<f64>, Vec<f64>) {
    backward(logits, 1.0, |x| loss.forward(x, labels, Reduction::None).unwrap())
}

#[test]
fn numbers_worked_out_by_hand() {
    // π = 1/2; P: x = 0; U: x = 0 and ln 3, σ = 1/2 and 3/4.
    // R⁺ = 1/4, R⁻ = 5/8 − 1/4 = 3/8, risk 5/8.
    // Slopes: P −2π·(1/4) = −1/4; U (1/4)/2 and (3/16)/2.
    let positive = labels(&[true, false, false], &[3, 1]);
    let logits = tensor(&[0.0, 0.0, 3f64.ln()], &[3, 1]);
    let (value, gradient) = found(&NonNegativePu::new(vec![0.5]), &logits, &positive);
    approx::assert_relative_eq!(value[0], 0.625, max_relative = 1e-15);
    for (found, expected) in gradient.iter().zip([-0.25, 0.125, 0.09375]) {
        approx::assert_relative_eq!(*found, expected, max_relative = 1e-15);
    }

    // π = 1/2; P: x = ln 3; U: x = −ln 3 twice. R⁺ = 1/8, R⁻ = 1/4 − 3/8 = −1/8 < 0: the value is R⁺ − β, and the slopes
    // are those of −γR⁻: P γ·π·3/16, U −γ·(3/16)/2 each.
    let logits = tensor(&[3f64.ln(), -(3f64.ln()), -(3f64.ln())], &[3, 1]);
    for (beta, gamma) in [(0.0, 1.0), (0.0625, 0.5)] {
        let loss = NonNegativePu::new(vec![0.5]).with_beta(beta).with_gamma(gamma);
        let (value, gradient) = found(&loss, &logits, &positive);
        approx::assert_relative_eq!(value[0], 0.125 - beta, max_relative = 1e-15);
        for (found, expected) in gradient.iter().zip([0.09375, -0.09375, -0.09375]) {
            approx::assert_relative_eq!(*found, gamma * expected, max_relative = 1e-14);
        }
    }
    // R⁻ is negative, but above −β: R⁺ + R⁻ = 0, slopes P −2π·3/16, U (3/16)/2 each.
    let (value, gradient) = found(&NonNegativePu::new(vec![0.5]).with_beta(0.25).with_gamma(1.0), &logits, &positive);
    approx::assert_abs_diff_eq!(value[0], 0.0, epsilon = 1e-16);
    for (found, expected) in gradient.iter().zip([-0.1875, 0.09375, 0.09375]) {
        approx::assert_relative_eq!(*found, expected, max_relative = 1e-14);
    }
}

#[test]
fn value_and_gradient_are_those_of_plain_arithmetic() {
    let mut rng = rng(51);
    let mut bounded = 0;
    for draw in 0..200 {
        let columns = 3;
        let prior: Vec<f64> = (0..columns).map(|_| rng.random_range(0.0..=1.0)).collect();
        let (beta, gamma) = [(0.0, 1.0), (0.05, 0.5), (0.0, 0.0)][draw % 3];
        let loss = NonNegativePu::new(prior).with_beta(beta).with_gamma(gamma);
        // Some labels have no positives, or nothing else.
        let share = [0.5, 0.1, 0.9][draw % 3];
        let x = uniform(&mut rng, (ROWS * columns) as i64, -4.0..4.0);
        let positive: Vec<bool> = (0..ROWS * columns).map(|_| rng.random_bool(share)).collect();
        let size = [ROWS as i64, columns as i64];
        let (value, gradient) = found(&loss, &tensor(&x, &size), &labels(&positive, &size));
        for (label, &value) in value.iter().enumerate() {
            let of = |row| row * columns + label;
            let column: Vec<f64> = (0..ROWS).map(|row| x[of(row)]).collect();
            let is: Vec<bool> = (0..ROWS).map(|row| positive[of(row)]).collect();
            let (expected_value, expected_slope) = expected(&loss, label, &column, &is);
            bounded += usize::from(risks(&column, &is, loss.prior[label]).1 < -beta);
            approx::assert_relative_eq!(value, expected_value, max_relative = 1e-13, epsilon = 1e-15);
            for row in 0..ROWS {
                approx::assert_abs_diff_eq!(gradient[of(row)], expected_slope[row], epsilon = 1e-9);
            }
        }
    }
    assert!((100..500).contains(&bounded), "both branches, {bounded} of 600 bounded");
}

#[test]
fn an_empty_side_counts_as_zero() {
    let loss = NonNegativePu::new(vec![0.25]);
    let logits = tensor(&[0.0, 0.0], &[2, 1]);
    // U alone: mean_U σ(0).
    let (value, gradient) = found(&loss, &logits, &labels(&[false, false], &[2, 1]));
    assert_eq!((value, gradient), (vec![0.5], vec![0.125, 0.125]));
    // P alone: R⁺ = 1/8, and R⁻ = −1/8 is bounded.
    let (value, gradient) = found(&loss, &logits, &labels(&[true, true], &[2, 1]));
    assert_eq!((value, gradient), (vec![0.125], vec![0.03125, 0.03125]));
    for size in [[0i64, 1], [3, 0], [0, 0]] {
        let loss = NonNegativePu::new(vec![0.25; size[1] as usize]);
        let logits = Tensor::zeros(size, here(Kind::Float));
        for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanPerLabel] {
            let (value, _) = backward(&logits, 1.0, |x| loss.forward(x, &labels(&[], &size), reduction).unwrap());
            assert!(value.iter().all(|&risk| risk == 0.0), "{size:?}, {reduction:?}: {value:?}");
        }
    }
}

#[test]
fn reductions_bring_labels_together() {
    let positive = labels(&[true, false, false, true, false, false], &[3, 2]);
    let logits = tensor(&[0.5, -1.0, 0.25, 2.0, -0.5, 1.0], &[3, 2]);
    let loss = NonNegativePu::new(vec![0.5, 0.25]);
    let of = |reduction| numbers(&loss.forward(&logits, &positive, reduction).unwrap());
    let each = of(Reduction::None);
    assert_eq!(each.len(), 2);
    let sum = each[0] + each[1];
    assert_eq!(of(Reduction::Sum), [sum]);
    assert_eq!(of(Reduction::Mean), [sum / 2.0]);
    assert_eq!(of(Reduction::MeanPerLabel), [sum / 2.0]);
    assert_eq!(of(Reduction::MeanOver(4.0)), [sum / 4.0]);
    for reduction in [Reduction::MeanAll, Reduction::MeanPerRow, Reduction::WeightedMean] {
        let error = loss.forward(&logits, &positive, reduction).unwrap_err();
        assert!(matches!(error, Error::Reduction { .. }), "{error}");
    }
}

#[test]
fn weights_multiply_what_is_averaged() {
    let positive = labels(&[true, true, false, false], &[4, 1]);
    let logits = Tensor::zeros([4, 1], here(Kind::Double));
    let rows = vector(&[1.0, 3.0, 2.0, 6.0]);
    let weighted = positive.with_weights(Weights::PerRow(&rows)).unwrap();
    // R⁺ = ½·(1 + 3)/2·½ = ½, R⁻ = (2 + 6)/2·½ − ½ = 3/2.
    assert_eq!(found(&NonNegativePu::new(vec![0.5]), &logits, &weighted).0, [2.0]);
}

#[test]
fn far_logits_and_every_dtype_stay_finite() {
    let positive = labels(&[true, false, true, false], &[4, 1]);
    let loss = NonNegativePu::new(vec![0.5]);
    for kind in KINDS {
        for logits in [[1e4, -1e4, -1e4, 1e4], [-1e4; 4], [1e4; 4], [0.5, -0.5, 2.0, -2.0]] {
            let (value, gradient) = found(&loss, &tensor(&logits, &[4, 1]).to_kind(kind), &positive);
            let (reference, slope) = found(&loss, &tensor(&logits, &[4, 1]), &positive);
            approx::assert_abs_diff_eq!(value[0], reference[0], epsilon = 1e-6);
            let tolerance = if matches!(kind, Kind::Half | Kind::BFloat16) { 1e-2 } else { 1e-6 };
            for (found, expected) in gradient.iter().zip(&slope) {
                approx::assert_abs_diff_eq!(*found, *expected, epsilon = tolerance);
            }
        }
        let computed = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let risk = loss.forward(&Tensor::zeros([4, 1], here(kind)), &positive, Reduction::Mean);
        assert_eq!(risk.unwrap().kind(), computed);
    }
}

#[test]
fn a_nan_shows_in_its_own_label() {
    let positive = labels(&[true, true, false, false], &[2, 2]);
    for place in 0..2 {
        let mut logits = [0.5; 4];
        logits[2 * place] = f64::NAN;
        let (value, gradient) = found(&NonNegativePu::new(vec![0.5, 0.5]), &tensor(&logits, &[2, 2]), &positive);
        assert!(value[0].is_nan() && gradient[2 * place].is_nan());
        assert!(value[1].is_finite() && gradient[1].is_finite() && gradient[3].is_finite());
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let logits = Tensor::zeros([2, 1], here(Kind::Float));
    let message = |loss: NonNegativePu, label: f64| {
        let labels = Labels::from_nan(&tensor(&[label, f64::NAN], &[2, 1])).unwrap();
        loss.forward(&logits, &labels, Reduction::Mean).unwrap_err().to_string()
    };
    let plain = || NonNegativePu::new(vec![0.5]);
    for label in [0.0, 0.5] {
        let said = message(plain(), label);
        assert!(said.starts_with("labels: expected 1 where observed") && said.ends_with(&format!("found {label}")));
    }
    assert_eq!(message(NonNegativePu::new(vec![]), 1.0), "prior: expected shape [1], found [0]");
    assert!(message(NonNegativePu::new(vec![1.5]), 1.0).starts_with("prior: expected a number within [0"));
    assert!(message(NonNegativePu::new(vec![f64::NAN]), 1.0).ends_with("found NaN"));
    assert!(message(plain().with_beta(-0.5), 1.0).starts_with("beta: "));
    assert!(message(plain().with_gamma(2.0), 1.0).starts_with("gamma: "));
    let labels = labels(&[true, false], &[1, 2]);
    let error = NonNegativePu::new(vec![0.5; 2]).forward(&logits, &labels, Reduction::Mean).unwrap_err();
    assert_eq!(error.to_string(), "logits: expected shape [1, 2], found [2, 1]");
}
