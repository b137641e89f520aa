//! Labels that are bounds.

use crate::common::{GARBAGE, KINDS, REDUCTIONS, here, numbers, paths, rng, uniform, vector};
use masked_loss::{
    AbsoluteError, Censored, Error, Huber, Labels, Loss, Path, Reduction, SquaredError, Weights, gradcheck,
};
use tch::{Kind, Tensor};

/// Numbers that half precision holds exactly, so that no dtype rounds them; with every combination of order and bound.
const PREDICTION: [f64; 12] = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0];
const BOUND: [i64; 12] = [-1, -1, -1, 0, 0, 0, 1, 1, 1, -1, 0, 1];
const COUNTS: [bool; 12] = [false, false, true, true, false, true, true, false, false, false, false, false];

/// All labels are 2; those of the last three entries are missing.
fn labels() -> Labels {
    let label: Vec<f64> = (0..12).map(|i| if i < 9 { 2.0 } else { f64::NAN }).collect();
    Labels::from_nan(&vector(&label).view([4, 3])).unwrap()
}

fn bound() -> Tensor {
    vector(&BOUND).view([4, 3])
}

fn prediction(kind: Kind) -> Tensor {
    vector(&PREDICTION).view([4, 3]).to_kind(kind)
}

fn value_and_gradient(loss: &dyn Loss, path: Path, x: &Tensor, labels: &Labels, by: Reduction) -> [Vec<f64>; 2] {
    let leaf = x.detach().copy().set_requires_grad(true);
    let value = loss.forward_on(path, &leaf, labels, by).unwrap();
    value.sum(value.kind()).backward();
    [numbers(&value), numbers(&leaf.grad())]
}

#[test]
fn what_keeps_to_its_bound_is_nothing_and_counts_as_observed() {
    let censored = Censored { loss: SquaredError, bound: bound() };
    for path in paths() {
        for kind in KINDS {
            let found = |by| value_and_gradient(&censored, path, &prediction(kind), &labels(), by);
            let [value, gradient] = found(Reduction::None);
            for i in 0..12 {
                let error = if COUNTS[i] { PREDICTION[i] - 2.0 } else { 0.0 };
                assert_eq!((value[i], gradient[i]), (error * error, 2.0 * error), "{path:?}, {kind:?}, entry {i}");
            }
            assert_eq!(found(Reduction::Sum)[0], [4.0]);
            // Nine are observed.
            approx::assert_relative_eq!(found(Reduction::Mean)[0][0], 4.0 / 9.0, max_relative = 1e-7);
        }
    }
    let (sum, weight) = censored.sum_and_weight(&prediction(Kind::Float), &labels(), Reduction::Mean).unwrap();
    assert_eq!((sum.double_value(&[]), weight.int64_value(&[])), (4.0, 9));
}

#[test]
fn exact_labels_are_the_loss_itself() {
    let x = prediction(Kind::Double) * 0.7;
    let exact = Censored { loss: Huber::default(), bound: bound().zeros_like() };
    for path in paths() {
        for by in REDUCTIONS {
            let expected = value_and_gradient(&Huber::default(), path, &x, &labels(), by);
            assert_eq!(value_and_gradient(&exact, path, &x, &labels(), by), expected);
        }
    }
}

#[test]
fn random_entries_are_as_chemprop_has_them() {
    let mut rng = rng(20);
    let mut draw = || vector(&uniform(&mut rng, 600, -3.0..3.0));
    let (x, y, bound, weights) = (draw(), draw(), draw().sign() * draw().ge(0.0), draw());
    let leaf = x.copy().set_requires_grad(true);
    let below = bound.lt(0).logical_and(&leaf.lt_tensor(&y));
    let above = bound.gt(0).logical_and(&leaf.gt_tensor(&y));
    let theirs = (y.where_self(&below.logical_or(&above), &leaf) - &y).abs() * &weights;
    theirs.sum(Kind::Double).backward();
    let labels = Labels::complete(&y).unwrap().with_weights(Weights::PerEntry(&weights)).unwrap();
    let censored = Censored { loss: AbsoluteError, bound };
    for path in paths() {
        let found = value_and_gradient(&censored, path, &x, &labels, Reduction::None);
        assert_eq!(found, [numbers(&theirs), numbers(&leaf.grad())]);
    }
    assert!(gradcheck(&censored, &x, &labels).unwrap().passes(1e-6));
}

#[test]
fn half_precision_keeps_to_a_bound_that_it_cannot_hold() {
    let labels = Labels::complete(&vector(&[1.0f32 + 1e-4, 2.0])).unwrap();
    let censored = Censored { loss: SquaredError, bound: vector(&[-1, 1]) };
    for path in paths() {
        for kind in [Kind::Half, Kind::BFloat16] {
            let x = vector(&[1.0, 7.0]).to_kind(kind);
            let found = value_and_gradient(&censored, path, &x, &labels, Reduction::None);
            assert_eq!(found, [[0.0, 0.0], [0.0, 0.0]], "{path:?}, {kind:?}");
        }
    }
}

#[test]
fn an_infinite_prediction_may_keep_to_its_bound_and_nan_does_not() {
    let labels = Labels::complete(&Tensor::full([4], 2.0, here(Kind::Float))).unwrap();
    let censored = Censored { loss: SquaredError, bound: vector(&[1, 1, -1, 1]) };
    for path in paths() {
        // The square of 1e30 overflows f32.
        let x = vector(&[f32::INFINITY, 1e30, f32::NEG_INFINITY, f32::NAN]);
        let [value, gradient] = value_and_gradient(&censored, path, &x, &labels, Reduction::None);
        assert_eq!((&value[..3], &gradient[..3]), (&[0.0; 3][..], &[0.0; 3][..]), "{path:?}");
        assert!(value[3].is_nan() && gradient[3].is_nan(), "{path:?}");
    }
}

#[test]
fn a_missing_entry_has_no_bound() {
    let clean = Censored { loss: SquaredError, bound: bound() };
    for path in paths() {
        let expected = value_and_gradient(&clean, path, &prediction(Kind::Float), &labels(), Reduction::Mean);
        for garbage in GARBAGE {
            let spoil = |tensor: Tensor| tensor.masked_fill(&labels().observed().unwrap().logical_not(), garbage);
            let censored = Censored { loss: SquaredError, bound: spoil(bound().to_kind(Kind::Float)) };
            let x = spoil(prediction(Kind::Float));
            assert_eq!(value_and_gradient(&censored, path, &x, &labels(), Reduction::Mean), expected, "{garbage}");
        }
    }
}

#[test]
fn a_bound_that_does_not_fit_is_an_error() {
    let error = |bound: Tensor| {
        let censored = Censored { loss: SquaredError, bound };
        censored.forward(&prediction(Kind::Float), &labels(), Reduction::Mean).unwrap_err().to_string()
    };
    assert_eq!(error(bound() * 2), "bound: expected -1, 0 or 1 where observed, found -2");
    assert_eq!(error(bound() * 0.5), "bound: expected -1, 0 or 1 where observed, found -0.5");
    assert_eq!(error(bound() * f64::NAN), "bound: expected -1, 0 or 1 where observed, found NaN");
    assert_eq!(error(bound().view([-1])), "bound: expected shape [4, 3], found [12]");
    assert_eq!(error(Tensor::new()), "bound: expected a dense tensor of real numbers, found an undefined tensor");

    let censored = Censored { loss: SquaredError, bound: bound() };
    let refused = |x: &Tensor| censored.forward(x, &labels(), Reduction::Mean).unwrap_err();
    assert!(matches!(refused(&prediction(Kind::Int64)), Error::Kind { tensor: "logits", .. }));
    assert!(matches!(refused(&Tensor::zeros([1, 3], here(Kind::Float))), Error::Shape { tensor: "logits", .. }));
}
