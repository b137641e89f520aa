//! Labels that are bounds.

use crate::common::{GARBAGE, KINDS, REDUCTIONS, backends, here, numbers, rng, uniform, vector};
use masked_loss::{
    AbsoluteError, Backend, Censored, Error, Head, Huber, Labels, Linear, Loss, Missing, NonNegativePu, Reduction,
    SoftmaxCrossEntropy, SquaredError, Weights, gradcheck,
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

/// The same, with bounds.
fn bounded() -> Labels {
    labels().with_bounds(&bound()).unwrap()
}

fn bound() -> Tensor {
    vector(&BOUND).view([4, 3])
}

fn prediction(kind: Kind) -> Tensor {
    vector(&PREDICTION).view([4, 3]).to_kind(kind)
}

fn value_and_gradient(loss: &dyn Loss, backend: Backend, x: &Tensor, labels: &Labels, by: Reduction) -> [Vec<f64>; 2] {
    let leaf = x.detach().copy().set_requires_grad(true);
    let value = loss.forward_on(backend, &leaf, labels, by).unwrap();
    value.sum(value.kind()).backward();
    [numbers(&value), numbers(&leaf.grad())]
}

#[test]
fn what_keeps_to_its_bound_is_nothing_and_counts_as_observed() {
    let censored = Censored::new(SquaredError);
    for backend in backends() {
        for kind in KINDS {
            let found = |by| value_and_gradient(&censored, backend, &prediction(kind), &bounded(), by);
            let [value, gradient] = found(Reduction::None);
            for i in 0..12 {
                let error = if COUNTS[i] { PREDICTION[i] - 2.0 } else { 0.0 };
                assert_eq!((value[i], gradient[i]), (error * error, 2.0 * error), "{backend:?}, {kind:?}, entry {i}");
            }
            assert_eq!(found(Reduction::Sum)[0], [4.0]);
            // Nine are observed.
            approx::assert_relative_eq!(found(Reduction::Mean)[0][0], 4.0 / 9.0, max_relative = 1e-7);
        }
    }
    let (sum, weight) = censored.sum_and_weight(&prediction(Kind::Float), &bounded(), Reduction::Mean).unwrap();
    assert_eq!((sum.double_value(&[]), weight.int64_value(&[])), (4.0, 9));
}

#[test]
fn exact_labels_are_the_loss_itself() {
    let x = prediction(Kind::Double) * 0.7;
    let censored = Censored::new(Huber::default());
    let exact = labels().with_bounds(&bound().zeros_like()).unwrap();
    for backend in backends() {
        for by in REDUCTIONS {
            let expected = value_and_gradient(&Huber::default(), backend, &x, &labels(), by);
            assert_eq!(value_and_gradient(&censored, backend, &x, &exact, by), expected);
            assert_eq!(value_and_gradient(&censored, backend, &x, &labels(), by), expected);
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
    let labels = Labels::complete(&y).unwrap().with_bounds(&bound).unwrap();
    let labels = labels.with_weights(Weights::PerEntry(&weights)).unwrap();
    let censored = Censored::new(AbsoluteError);
    for backend in backends() {
        let found = value_and_gradient(&censored, backend, &x, &labels, Reduction::None);
        assert_eq!(found, [numbers(&theirs), numbers(&leaf.grad())]);
    }
    assert!(gradcheck(&censored, &x, &labels).unwrap().passes(1e-6));
}

#[test]
fn half_precision_keeps_to_a_bound_that_it_cannot_hold() {
    let labels = Labels::complete(&vector(&[1.0f32 + 1e-4, 2.0])).unwrap().with_bounds(&vector(&[-1, 1])).unwrap();
    let censored = Censored::new(SquaredError);
    for backend in backends() {
        for kind in [Kind::Half, Kind::BFloat16] {
            let x = vector(&[1.0, 7.0]).to_kind(kind);
            let found = value_and_gradient(&censored, backend, &x, &labels, Reduction::None);
            assert_eq!(found, [[0.0, 0.0], [0.0, 0.0]], "{backend:?}, {kind:?}");
        }
    }
}

#[test]
fn an_infinite_prediction_may_keep_to_its_bound_and_nan_does_not() {
    let labels = Labels::complete(&Tensor::full([4], 2.0, here(Kind::Float))).unwrap();
    let labels = labels.with_bounds(&vector(&[1, 1, -1, 1])).unwrap();
    let censored = Censored::new(SquaredError);
    for backend in backends() {
        // The square of 1e30 overflows f32.
        let x = vector(&[f32::INFINITY, 1e30, f32::NEG_INFINITY, f32::NAN]);
        let [value, gradient] = value_and_gradient(&censored, backend, &x, &labels, Reduction::None);
        assert_eq!((&value[..3], &gradient[..3]), (&[0.0; 3][..], &[0.0; 3][..]), "{backend:?}");
        assert!(value[3].is_nan() && gradient[3].is_nan(), "{backend:?}");
    }
}

#[test]
fn a_missing_entry_has_no_bound() {
    let censored = Censored::new(SquaredError);
    for backend in backends() {
        let expected = value_and_gradient(&censored, backend, &prediction(Kind::Float), &bounded(), Reduction::Mean);
        for garbage in GARBAGE {
            let spoil = |tensor: Tensor| tensor.masked_fill(&labels().observed().unwrap().logical_not(), garbage);
            let spoilt = labels().with_bounds(&spoil(bound().to_kind(Kind::Float))).unwrap();
            let x = spoil(prediction(Kind::Float));
            assert_eq!(value_and_gradient(&censored, backend, &x, &spoilt, Reduction::Mean), expected, "{garbage}");
        }
    }
}

#[test]
fn a_bound_that_does_not_fit_is_an_error() {
    let error = |bounds: Tensor| labels().with_bounds(&bounds).unwrap_err().to_string();
    assert_eq!(error(bound() * 2), "bounds: expected -1, 0 or 1 where observed, found -2");
    assert_eq!(error(bound() * 0.5), "bounds: expected -1, 0 or 1 where observed, found -0.5");
    assert_eq!(error(bound() * f64::NAN), "bounds: expected -1, 0 or 1 where observed, found NaN");
    assert_eq!(error(bound().view([-1])), "bounds: expected shape [4, 3], found [12]");
    assert_eq!(error(Tensor::new()), "bounds: expected a dense tensor of real numbers, found an undefined tensor");

    let refused = |x: &Tensor| Censored::new(SquaredError).forward(x, &bounded(), Reduction::Mean).unwrap_err();
    assert!(matches!(refused(&prediction(Kind::Int64)), Error::Kind { argument: "logits", .. }));
    assert!(matches!(refused(&Tensor::zeros([1, 3], here(Kind::Float))), Error::Shape { argument: "logits", .. }));
}

/// Weights, cuts and forms of storage, in any order, leave each entry its bound.
#[test]
fn bounds_stay_with_their_entries() {
    let censored = Censored::new(SquaredError);
    // No row and no column reads the same backwards.
    let bound = vector(&[-1i64, 0, 1, 0, 0, -1, 1, -1, 0, 1, 1, 0]).view([4, 3]);
    let weights = vector(&[0.5, 2.0, 3.0]);
    let by_hand = |rows: &[i64]| {
        let of = |tensor: Tensor| tensor.index_select(0, &vector(rows));
        let labels = Labels::from_nan(&of(labels().values().unwrap())).unwrap();
        let labels = labels.with_weights(Weights::PerLabel(&weights)).unwrap();
        (labels.with_bounds(&of(bound.shallow_clone())).unwrap(), of(prediction(Kind::Float)))
    };
    let bounded = |labels: Labels| labels.with_bounds(&bound).unwrap();
    let weighted = |labels: Labels| labels.with_weights(Weights::PerLabel(&weights)).unwrap();
    let each = |labels: Labels| labels.with_weights(Weights::PerEntry(&weights.expand([4, 3], false))).unwrap();
    // Factors so far apart that their products are held for each entry.
    let far = |labels: Labels| {
        let rows = Tensor::full([4], 1e30, here(Kind::Double));
        let labels = labels.with_weights(Weights::PerRow(&rows)).unwrap();
        labels.with_weights(Weights::PerLabel(&(&weights.to_kind(Kind::Double) * 1e-39))).unwrap()
    };
    let sparse = |labels: Labels| labels.to_device(tch::Device::Cpu).unwrap().to_sparse().unwrap();
    let mut forms = vec![
        weighted(bounded(labels())),
        bounded(weighted(labels())),
        each(bounded(labels())),
        far(bounded(labels())),
        bounded(far(labels())),
    ];
    if crate::common::on_the_cpu("bounds of sparse labels") {
        forms.push(weighted(sparse(bounded(labels()))));
        forms.push(bounded(weighted(sparse(labels()))));
        forms.push(each(sparse(bounded(labels()))));
        forms.push(far(sparse(bounded(labels()))));
        forms.push(sparse(each(bounded(labels()))));
    }
    for rows in [&[0, 1, 2, 3][..], &[2], &[3, 0, 0, 1], &[]] {
        let (expected, x) = by_hand(rows);
        for (form, labels) in forms.iter().enumerate() {
            let batch = labels.rows(&vector(rows)).unwrap();
            assert_eq!(batch.bounds().unwrap(), expected.bounds().unwrap(), "{form}, {rows:?}");
            let close = |found: &Labels, expected: &Labels| {
                for backend in backends() {
                    let of = |labels| value_and_gradient(&censored, backend, &x, labels, Reduction::WeightedMean);
                    for (found, expected) in of(found).into_iter().zip(of(expected)) {
                        assert_eq!(found.len(), expected.len());
                        for (found, expected) in found.into_iter().zip(expected) {
                            approx::assert_relative_eq!(found, expected, max_relative = 1e-6);
                        }
                    }
                }
            };
            close(&batch, &expected);
            // Cut again, and bounded anew.
            let again = batch.rows(&vector(&(0..rows.len() as i64).collect::<Vec<_>>())).unwrap();
            assert_eq!(again.bounds().unwrap(), expected.bounds().unwrap(), "{form}, {rows:?}");
            let negated = expected.bounds().unwrap().unwrap().neg();
            let replaced = again.with_bounds(&negated).unwrap();
            assert_eq!(replaced.bounds().unwrap(), Some(negated.shallow_clone()), "{form}, {rows:?}");
            close(&replaced, &expected.clone().with_bounds(&negated).unwrap());
        }
    }
    assert_eq!(labels().bounds().unwrap(), None);
    // What is filled in is exact.
    let filled = bounded(labels()).imputed(&vector(&[7.0, 8.0, 9.0])).unwrap();
    assert_eq!(filled.bounds().unwrap(), bounded(labels()).bounds().unwrap());
}

/// A loss that would take a bound for a number says so.
#[test]
fn other_losses_refuse_bounds() {
    let expected = "labels: expected exact numbers, or `Censored` around the loss, found bounds";
    let x = prediction(Kind::Float);
    for loss in [Box::new(SquaredError) as Box<dyn Loss>, Box::new(SquaredError.with_missing(Missing::Label(0.0)))] {
        for backend in backends() {
            let error = loss.forward_on(backend, &x, &bounded(), Reduction::Mean).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(loss.sum_and_weight(&x, &bounded(), Reduction::Mean).unwrap_err().to_string(), expected);
    }
    let weight = Tensor::ones([3, 2], here(Kind::Float));
    for head in [Head::Auto, Head::Chunked, Head::Observed] {
        if head != Head::Observed || crate::common::on_the_cpu("bounds and the observed head") {
            let linear = Linear::new(&weight, None).with_head(head);
            let hidden = Tensor::ones([4, 2], here(Kind::Float));
            let error = SquaredError.forward_linear(&hidden, &linear, &bounded(), Reduction::Mean).unwrap_err();
            assert_eq!(error.to_string(), expected, "{head:?}");
        }
    }
    let classes = Labels::complete(&vector(&[0i64, 1])).unwrap().with_bounds(&vector(&[0, 1])).unwrap();
    let softmax =
        SoftmaxCrossEntropy::default().forward(&Tensor::zeros([2, 2], here(Kind::Float)), &classes, Reduction::Mean);
    assert_eq!(softmax.unwrap_err().to_string(), expected);
    let positives = Labels::complete(&vector(&[1.0])).unwrap().with_bounds(&vector(&[1])).unwrap();
    let nnpu = NonNegativePu::new(vec![0.5]).forward(&vector(&[0.0]), &positives, Reduction::Mean);
    assert_eq!(nnpu.unwrap_err().to_string(), expected);
}
