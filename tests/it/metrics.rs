//! Metrics of tables: only observed entries count, and undefined metrics are `None`.

use crate::common::{GARBAGE, here, tensor, vector};
use masked_loss::metrics::{ByLabel, Metric, summarize};
use masked_loss::{Error, Labels};
use tch::{Kind, Tensor};

const NAN: f64 = f64::NAN;

#[test]
fn missing_entries_count_nowhere_whatever_stands_there() {
    // Label 0: 0.9+, 0.2-; label 1: one class only; label 2: not observed.
    let scores = |missing: f64| tensor(&[0.9, 0.7, missing, 0.2, missing, missing, missing, 0.6, missing], &[3, 3]);
    let labels = Labels::from_nan(&tensor(&[1.0, 1.0, NAN, 0.0, NAN, NAN, NAN, 1.0, NAN], &[3, 3])).unwrap();
    for metric in Metric::all() {
        let clean = summarize(metric, &scores(0.5), &labels).unwrap();
        for garbage in GARBAGE {
            assert_eq!(summarize(metric, &scores(garbage), &labels).unwrap(), clean, "{metric:?}, {garbage}");
        }
        assert_eq!(clean.per_label[2], None, "{metric:?}");
    }
    let auroc = summarize(Metric::Auroc, &scores(0.0), &labels).unwrap();
    // Pooled: 0.9, 0.7 and 0.6 are all above 0.2.
    assert_eq!(auroc.per_label, [Some(1.0), None, None]);
    assert_eq!((auroc.macro_mean, auroc.micro, auroc.undefined), (Some(1.0), Some(1.0), 2));
    let accuracy = summarize(Metric::Accuracy { threshold: 0.65 }, &scores(0.0), &labels).unwrap();
    assert_eq!(accuracy.per_label, [Some(1.0), Some(0.5), None]);
    assert_eq!((accuracy.macro_mean, accuracy.micro, accuracy.undefined), (Some(0.75), Some(0.75), 1));
}

#[test]
fn labels_are_the_last_dimension_of_any_rank() {
    let (scores, labels) = ([0.9, 0.1, 0.2, 0.8, 0.7, 0.3, 0.6, 0.4], [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    let of = |size: &[i64]| {
        let labels = Labels::complete(&tensor(&labels, size)).unwrap();
        summarize(Metric::Auroc, &tensor(&scores, size).to_kind(Kind::Float), &labels).unwrap()
    };
    assert_eq!(of(&[4, 2]).per_label, [Some(1.0), Some(0.0)]);
    assert_eq!(of(&[2, 2, 2]), of(&[4, 2]));
    // Each entry has a label of its own: nothing to compare.
    assert_eq!(of(&[8]).undefined, 8);
    for size in [[0, 3], [3, 0]] {
        let labels = Labels::complete(&Tensor::zeros(size, here(Kind::Float))).unwrap();
        for metric in Metric::all() {
            let summary = summarize(metric, &Tensor::zeros(size, here(Kind::Float)), &labels).unwrap();
            assert_eq!((summary.per_label.len(), summary.micro), (size[1] as usize, None));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let of = |metric, scores: &Tensor| summarize(metric, scores, &labels);
    let wrong = of(Metric::Auroc, &Tensor::zeros([3], here(Kind::Float)));
    assert!(matches!(wrong, Err(Error::Shape { argument: "scores", .. })), "{wrong:?}");
    let wrong = of(Metric::Auroc, &vector(&[1i64, 0]));
    assert!(matches!(wrong, Err(Error::Kind { argument: "scores", .. })), "{wrong:?}");
    let logits = vector(&[3.0, -1.0]);
    let wrong = of(Metric::LogLoss, &logits).unwrap_err().to_string();
    assert_eq!(wrong, "scores: expected probabilities where observed, found 3");
    assert_eq!(of(Metric::Auroc, &logits).unwrap().micro, Some(1.0));
    // NaN scores of a broken network are an error, unlike labels without both classes.
    let unobserved = Labels::from_nan(&vector(&[NAN, 0.0])).unwrap();
    for metric in Metric::all() {
        let scores = vector(&[NAN, 0.5]);
        let wrong = of(metric, &scores);
        assert!(matches!(wrong, Err(Error::Range { argument: "scores", .. })), "{metric:?}: {wrong:?}");
        assert!(summarize(metric, &scores, &unobserved).is_ok(), "{metric:?}");
        // A measured number is not a class either.
        let measured = summarize(metric, &vector(&[0.5]), &Labels::complete(&vector(&[7.25])).unwrap());
        assert!(
            matches!(measured, Err(Error::Range { argument: "labels", found: 7.25, .. })),
            "{metric:?}: {measured:?}"
        );
    }
}

/// The numbers are scikit-learn 1.9's `log_loss([0, 1], [1.0, 0.25])`, for scores of each dtype.
#[test]
fn log_loss_of_a_certain_error_depends_on_the_dtype() {
    let labels = Labels::complete(&vector(&[0.0, 1.0])).unwrap();
    for (kind, expected) in [(Kind::Double, 18.714974), (Kind::Float, 8.664339), (Kind::Half, 4.15625)] {
        let found = summarize(Metric::LogLoss, &vector(&[1.0, 0.25]).to_kind(kind), &labels).unwrap();
        approx::assert_relative_eq!(found.micro.unwrap(), expected, max_relative = 1e-3);
    }
}

#[test]
fn scores_of_observed_entries_alone_are_worth_the_same() {
    let scores = tensor(&[0.9, 0.7, NAN, 0.2, 0.5, NAN, NAN, 0.6, 0.1, 0.3, 0.4, 0.8], &[4, 3]);
    let cells = tensor(&[1.0, 1.0, NAN, 0.0, 0.0, NAN, NAN, 0.25, 1.0, 1.0, NAN, 0.0], &[4, 3]);
    let labels = Labels::from_nan(&cells).unwrap();
    let observed = scores.masked_select(&labels.observed().unwrap());
    let mut forms = vec![(labels.clone(), observed.shallow_clone())];
    if labels.device() == tch::Device::Cpu {
        forms.push((labels.to_sparse().unwrap(), observed.shallow_clone()));
    }
    for kind in [Kind::Double, Kind::Float] {
        for (form, observed) in &forms {
            let by_label = ByLabel::of_observed(&observed.to_kind(kind), form).unwrap();
            assert_eq!(by_label.labels(), 3);
            assert_eq!(by_label.label(0)[1], [1.0, 0.0, 1.0]);
            for metric in Metric::all() {
                let expected = summarize(metric, &scores.to_kind(kind), &labels).unwrap();
                assert_eq!(by_label.summarize(metric).unwrap(), expected, "{metric:?}");
            }
        }
    }
    let few = ByLabel::of_observed(&vector(&[0.5]), &labels);
    assert!(matches!(few, Err(Error::Shape { argument: "scores", .. })), "{few:?}");
    let unknown = ByLabel::of_observed(&observed.full_like(NAN), &labels);
    assert!(matches!(unknown, Err(Error::Range { argument: "scores", .. })), "{unknown:?}");
}
