//! Metrics by their names, worked out by hand.

use masked_loss_core::metrics::Metric;

#[test]
fn each_metric_is_its_own_with_a_label_from_one_half_on_positive() {
    let scores = [0.1, 0.4, 0.35, 0.8, 0.5];
    let labels = [0.0, 0.5f64.next_down(), 0.5, 1.0, 0.0];
    let threshold = 0.4;
    // Positive: 0.35 and 0.8. Of the six pairs with 0.1, 0.4 and 0.5, the first is above one, the second above all.
    // By falling score: 0.8 (precision 1), 0.5, 0.4, 0.35 (precision 2/4).
    // From 0.4 on: 0.4, 0.8, 0.5, of which 0.8 is positive; 0.35 is missed.
    let expected = [
        (Metric::Auroc, 4.0 / 6.0),
        (Metric::AveragePrecision, 0.5 * 1.0 + 0.5 * 0.5),
        (Metric::Precision { threshold }, 1.0 / 3.0),
        (Metric::Recall { threshold }, 0.5),
        (Metric::F1 { threshold }, 2.0 / 5.0),
        (Metric::Accuracy { threshold }, 2.0 / 5.0),
        (Metric::Brier, (0.01 + 0.01 + 0.0225 + 0.04 + 0.25) / 5.0),
    ];
    for (metric, exact) in expected {
        approx::assert_relative_eq!(metric.of(&scores, &labels).unwrap(), exact, max_relative = 1e-14);
    }
    for metric in Metric::all() {
        let of = |score: f64, label: f64| metric.of(&[0.2, score, 0.9], &[0.0, label, 1.0]);
        assert!(of(0.5, 1.0).is_some(), "{metric:?}");
        for label in [-1e-9, 1.0 + 1e-9, f64::NAN] {
            assert_eq!(of(0.5, label), None, "{metric:?}, label {label}");
        }
        for score in [-1e-9, 1.0 + 1e-9] {
            assert_eq!(of(score, 1.0).is_none(), metric.takes_probabilities(), "{metric:?}, score {score}");
        }
        assert_eq!(of(f64::NAN, 1.0), None, "{metric:?}");
    }
}

#[test]
fn every_metric_has_its_name_and_its_usual_settings() {
    let named = Metric::all().map(|metric| (metric.name(), metric.takes_probabilities()));
    assert_eq!(
        named,
        [
            ("AUROC", false),
            ("average precision", false),
            ("precision", false),
            ("recall", false),
            ("F1", false),
            ("accuracy", false),
            ("Brier score", true),
            ("log loss", true),
            ("calibration error", true),
        ]
    );
    assert_eq!(Metric::all()[2], Metric::Precision { threshold: 0.5 });
    assert_eq!(Metric::all()[8], Metric::CalibrationError { bins: 15 });
}
