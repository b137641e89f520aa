//! Softmax cross entropy over rows of which some are missing: the promises of `contract.rs`, and PyTorch's own
//! function.

use crate::common::{Call, KINDS, REDUCTIONS, backward, here, numbers, rng, tensor, uniform, vector};
use masked_loss::{Backend, Error, Labels, Loss, Reduction, SoftmaxCrossEntropy, Weights, gradcheck};
use rand::Rng;
use rand::rngs::SmallRng;
use tch::{Kind, Tensor};

const ROWS: usize = 7;
const CLASSES: usize = 4;
const IGNORED: i64 = -100;

/// Plain, weighted, smoothed, and both.
fn losses() -> Vec<SoftmaxCrossEntropy> {
    let weight = || Some(vec![0.5, 2.0, 0.0, 1.25]);
    [(None, 0.0), (weight(), 0.0), (None, 0.1), (weight(), 0.3)]
        .map(|(weight, label_smoothing)| {
            SoftmaxCrossEntropy::default().with_weight(weight).with_label_smoothing(label_smoothing)
        })
        .into()
}

/// Logits and classes, of which some are ignored: always the third row, never the first.
fn case(rng: &mut SmallRng) -> (Tensor, Vec<i64>) {
    let logits = uniform(rng, (ROWS * CLASSES) as i64, -6.0..6.0);
    let class = |row, rng: &mut SmallRng| match row {
        0 => 1,
        2 => IGNORED,
        _ => [IGNORED, rng.random_range(0..CLASSES as i64)][usize::from(rng.random_bool(0.7))],
    };
    let classes = (0..ROWS).map(|row| class(row, rng)).collect();
    (tensor(&logits, &[ROWS as i64, CLASSES as i64]), classes)
}

fn labels(classes: &[i64]) -> Labels {
    Labels::from_sentinel(&vector(classes), IGNORED as f64).unwrap()
}

/// The logits with `garbage` in every row that is ignored.
fn spoilt(logits: &Tensor, classes: &[i64], garbage: f64) -> Tensor {
    let ignored = vector(classes).eq(IGNORED).unsqueeze(-1);
    logits.masked_fill(&ignored, garbage)
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        approx::assert_relative_eq!(found, expected, max_relative = tolerance, epsilon = tolerance);
    }
}

#[test]
fn agrees_with_cross_entropy_of_pytorch() {
    let mut rng = rng(41);
    for loss in losses() {
        for (reduction, name) in [
            (Reduction::None, tch::Reduction::None),
            (Reduction::Sum, tch::Reduction::Sum),
            (Reduction::Mean, tch::Reduction::Mean),
        ] {
            for kind in KINDS {
                let (logits, classes) = case(&mut rng);
                let logits = logits.to_kind(kind);
                // PyTorch computes with the digits of the logits' dtype, these with those of f32 or f64.
                let (computed, tolerance) =
                    if kind == Kind::Double { (Kind::Double, 1e-14) } else { (Kind::Float, 2e-6) };
                let weight = loss.weight.as_deref().map(|weight| vector(weight).to_kind(computed));
                let found = backward(&logits, 0.5, |x| loss.forward(x, &labels(&classes), reduction).unwrap());
                let expected = backward(&logits, 0.5, |x| {
                    let target = vector(&classes);
                    x.to_kind(computed).cross_entropy_loss(
                        &target,
                        weight.as_ref(),
                        name,
                        IGNORED,
                        loss.label_smoothing,
                    )
                });
                close(&found.0, &expected.0, tolerance);
                close(&found.1, &expected.1, if computed == kind { tolerance } else { 1e-2 });
            }
        }
    }
}

/// Every loss by every reduction.
fn each_call(mut run: impl FnMut(Call)) {
    for loss in losses() {
        let name = format!("{loss:?}");
        for reduction in REDUCTIONS {
            run(Call { name: &name, loss: &loss, backend: Backend::Auto, reduction });
        }
    }
}

#[test]
fn a_missing_row_has_no_loss_and_no_gradient_whatever_stands_there() {
    let (logits, classes) = case(&mut rng(42));
    let missing: Vec<bool> = (0..ROWS * CLASSES).map(|i| classes[i / CLASSES] == IGNORED).collect();
    each_call(|call| {
        for kind in KINDS {
            let of = |logits: &Tensor| logits.to_kind(kind);
            let spoilt = |garbage| (of(&spoilt(&logits, &classes, garbage)), labels(&classes));
            let gradient = call.is_blind_to_what_is_missing(&of(&logits), &labels(&classes), &missing, spoilt);
            assert!(gradient[..CLASSES].iter().any(|&slope| slope != 0.0));
        }
    });
}

#[test]
fn no_upstream_gradient_wakes_a_missing_row() {
    let missing = [false, false, false, false, true, true, true, true];
    let logits = Tensor::ones([2, 4], here(Kind::Float));
    each_call(|call| call.stays_asleep(&logits, &labels(&[1, IGNORED]), &missing));
}

#[test]
fn every_row_missing_gives_zero_with_the_graph_attached() {
    for (size, kind) in [[3i64, 4], [0, 4]].into_iter().flat_map(|size| KINDS.map(|kind| (size, kind))) {
        let logits = Tensor::full(size, f64::NAN, here(kind));
        each_call(|call| call.is_zero(&logits, &labels(&vec![IGNORED; size[0] as usize])));
    }
}

#[test]
fn an_observed_nan_shows() {
    for loss in losses() {
        let logits = tensor(&[0.0, f64::NAN, 1.0, 2.0, 0.5, 0.5, 0.5, 0.5], &[2, 4]);
        let labels = labels(&[1, 0]);
        let (value, gradient) = backward(&logits, 1.0, |x| loss.forward(x, &labels, Reduction::None).unwrap());
        assert!(value[0].is_nan() && gradient[..4].iter().all(|slope| slope.is_nan()));
        assert!(value[1].is_finite() && gradient[4..].iter().all(|slope| slope.is_finite()));
    }
}

#[test]
fn a_class_that_is_ruled_out_costs_nothing() {
    let logits = tensor(&[f64::NEG_INFINITY, 0.0, 0.0, 0.0], &[1, 4]);
    let loss = SoftmaxCrossEntropy::default().forward(&logits, &labels(&[1]), Reduction::Mean).unwrap();
    approx::assert_relative_eq!(loss.double_value(&[]), 3f64.ln(), max_relative = 1e-15);
}

#[test]
fn gradient_is_that_of_central_differences() {
    let mut rng = rng(43);
    for loss in losses() {
        let (logits, classes) = case(&mut rng);
        let report = gradcheck(&loss, &spoilt(&logits, &classes, f64::NAN), &labels(&classes)).unwrap();
        assert!(report.passes(1e-8), "{loss:?}: {report}");
        assert_eq!(report.entries, ROWS * CLASSES);
    }
}

/// A loss that ignores which rows are missing.
struct Leaky;

impl Loss for Leaky {
    fn forward_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        _: &Labels,
        reduction: Reduction,
    ) -> masked_loss::Result<Tensor> {
        SoftmaxCrossEntropy::default().forward_on(backend, logits, &labels(&[0; ROWS]), reduction)
    }
    fn sum_and_weight_on(
        &self,
        _: Backend,
        _: &Tensor,
        _: &Labels,
        _: Reduction,
    ) -> masked_loss::Result<(Tensor, Tensor)> {
        unreachable!("gradcheck asks for the loss alone")
    }
}

#[test]
fn gradcheck_lists_the_logits_of_a_missing_row() {
    let (logits, classes) = case(&mut rng(44));
    let found: Vec<_> = gradcheck(&Leaky, &logits, &labels(&classes)).unwrap().leaks;
    let entries: Vec<_> = found.into_iter().map(|(_, entry, _)| entry).collect();
    let expected: Vec<_> = (0..ROWS * CLASSES).filter(|entry| classes[entry / CLASSES] == IGNORED).collect();
    assert_eq!(entries, expected);
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let mut rng = rng(45);
    let (logits, classes) = case(&mut rng);
    let rows = vector(&uniform(&mut rng, ROWS as i64, 0.5..2.0));
    let labels = labels(&classes).with_weights(Weights::PerRow(&rows)).unwrap();
    each_call(|call| {
        if matches!(call.reduction, Reduction::Mean | Reduction::WeightedMean | Reduction::MeanAll | Reduction::Sum) {
            call.adds_up(&logits, &labels, &[0..1, 1..1, 1..3, 3..7], 1e-14);
        }
    });
}

#[test]
fn denominators_are_what_they_say() {
    // Three equal logits: every class has −ln p = ln 3.
    let logits = Tensor::zeros([4, 3], here(Kind::Double));
    let rows = vector(&[2.0, 3.0, 5.0, 7.0]);
    let labels = labels(&[0, IGNORED, 2, 2]).with_weights(Weights::PerRow(&rows)).unwrap();
    let of = |weight: Option<Vec<f64>>, reduction| {
        let loss = SoftmaxCrossEntropy::default().with_weight(weight);
        loss.forward(&logits, &labels, reduction).unwrap().double_value(&[]) / 3f64.ln()
    };
    let weight = || Some(vec![1.0, 10.0, 0.5]);
    for (reduction, plain, weighted) in [
        (Reduction::Sum, 14.0, 8.0), // 2 + 5 + 7; 2 + 2.5 + 3.5
        (Reduction::Mean, 14.0 / 3.0, 8.0 / 2.0),
        (Reduction::WeightedMean, 1.0, 1.0),
        (Reduction::MeanAll, 14.0 / 4.0, 8.0 / 4.0),
        (Reduction::MeanOver(5.0), 14.0 / 5.0, 8.0 / 5.0),
    ] {
        approx::assert_relative_eq!(of(None, reduction), plain, max_relative = 1e-14);
        approx::assert_relative_eq!(of(weight(), reduction), weighted, max_relative = 1e-14);
    }
}

#[test]
fn labels_of_a_higher_rank_are_rows_in_a_block() {
    let mut rng = rng(46);
    let (logits, mut classes) = case(&mut rng);
    classes[6] = IGNORED;
    let block = vector(&classes[..6]).view([2, 3]);
    let block = Labels::from_sentinel(&block, IGNORED as f64).unwrap();
    let first = logits.narrow(0, 0, 6).view([2, 3, 4]);
    for loss in losses() {
        let blocked = loss.forward(&first, &block, Reduction::Mean).unwrap();
        let flat = loss.forward(&logits, &labels(&classes), Reduction::Mean).unwrap();
        close(&numbers(&blocked), &numbers(&flat), 1e-15);
    }
}

#[test]
fn classes_come_from_nan_too_and_reach_the_last() {
    let raw = vector(&[3.0, f64::NAN, 0.0]);
    let (logits, _) = case(&mut rng(47));
    let logits = logits.narrow(0, 0, 3);
    let of =
        |labels: Labels| numbers(&SoftmaxCrossEntropy::default().forward(&logits, &labels, Reduction::None).unwrap());
    assert_eq!(of(Labels::from_nan(&raw).unwrap()), of(labels(&[3, IGNORED, 0])));
}

#[test]
fn what_weighs_nothing_adds_nothing_whatever_its_logits() {
    // A row of weight 0, and a class of weight 0 whose logit is −∞.
    let rows = labels(&[1, 0]).with_weights(Weights::PerRow(&vector(&[0.0, 1.0]))).unwrap();
    let class = SoftmaxCrossEntropy::default().with_weight(vec![0.0, 1.0]).with_label_smoothing(0.0);
    let out = f64::NEG_INFINITY;
    for (loss, labels, logits) in [
        (SoftmaxCrossEntropy::default(), rows, [f64::NAN, f64::INFINITY, 0.0, out]),
        (class.clone().with_label_smoothing(0.1), labels(&[0, 1]), [out, 0.0, out, 0.0]),
        (class, labels(&[0, 1]), [out, 0.0, out, 0.0]),
    ] {
        let of = |x: &Tensor| loss.forward(x, &labels, Reduction::Sum).unwrap();
        assert_eq!(backward(&tensor(&logits, &[2, 2]), 1.0, of), (vec![0.0], vec![0.0; 4]));
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let logits = Tensor::zeros([2, 3], here(Kind::Float));
    let message = |loss: &SoftmaxCrossEntropy, logits: &Tensor, classes: &[f64]| {
        let labels = Labels::complete(&vector(classes)).unwrap();
        loss.forward(logits, &labels, Reduction::Mean).unwrap_err().to_string()
    };
    let plain = SoftmaxCrossEntropy::default();
    let class = "labels: expected a class where observed, an integer from 0 to 2, found ";
    assert_eq!(message(&plain, &logits, &[0.0, 3.0]), format!("{class}3"));
    assert_eq!(message(&plain, &logits, &[0.0, -1.0]), format!("{class}-1"));
    assert_eq!(message(&plain, &logits, &[0.5, 2.0]), format!("{class}0.5"));
    // Hard labels, which are stored differently.
    let class = "labels: expected a class where observed, an integer from 0 to 0, found 1";
    assert_eq!(message(&plain, &Tensor::zeros([2, 1], here(Kind::Float)), &[0.0, 1.0]), class);
    for size in [&[2i64][..], &[3, 3], &[2, 0], &[2, 3, 1], &[]] {
        assert_eq!(
            message(&plain, &Tensor::zeros(size, here(Kind::Float)), &[0.0, 1.0]),
            format!("logits: expected shape [2] and a last dimension of one class or more, found {size:?}")
        );
    }
    let weighted = |weight: Vec<f64>| SoftmaxCrossEntropy::default().with_weight(weight);
    assert_eq!(message(&weighted(vec![1.0]), &logits, &[0.0, 1.0]), "weight: expected shape [3], found [1]");
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let said = message(&weighted(vec![1.0, wrong, 1.0]), &logits, &[0.0, 1.0]);
        assert_eq!(said, format!("weight: expected finite numbers, found {wrong}"));
    }
    let smoothed = SoftmaxCrossEntropy::default().with_label_smoothing(1.5);
    assert!(message(&smoothed, &logits, &[0.0, 1.0]).starts_with("label_smoothing: expected a number within [0"));
    let fused = plain.forward_on(Backend::Fused, &logits, &labels(&[0, 1]), Reduction::Mean);
    assert!(matches!(fused, Err(Error::Fused(_))), "{fused:?}");
    assert!(plain.forward_on(Backend::Composed, &logits, &labels(&[0, 1]), Reduction::Mean).is_ok());
}
