//! Observed logits of ±∞: value and gradient are the limits, on every backend.

use crate::common::{backends, backward, numbers, tensor, value_and_gradient, vector};
use masked_loss::masked_loss_core::losses::FocalNegative;
use masked_loss::{
    AbsoluteError, Asymmetric, BceWithLogits, Dual, Elementwise, Hill, Huber, Labels, Loss, Missing, Named,
    NegativeEntropy, Raw, Reduction, SigmoidFocal, SquaredError, UnbiasedBce, Weights, catalogue,
};
use tch::{Kind, Tensor};

/// A loss, and its formula.
struct Limit {
    named: Named,
    formula: Box<dyn Fn(f64, f64) -> Dual<f64>>,
}

fn limit<E: Elementwise + Clone + 'static>(name: &'static str, loss: E) -> Limit {
    let named = Named::new(name, loss.clone());
    let formula = move |x, y| {
        let (x, y) = (Dual::variable(x), Dual::fixed(y));
        match loss.parameter() {
            Some((_, parameter)) => loss.entry_with(&x, &y, &Dual::fixed(parameter[0])),
            None => loss.entry(&x, &y),
        }
    };
    Limit { named, formula: Box::new(formula) }
}

fn limits() -> Vec<Limit> {
    let bce = BceWithLogits::default();
    let unbiased = |inverse| UnbiasedBce::new(vec![inverse]);
    let weighted = |weight| BceWithLogits::default().with_pos_weight(vec![weight]);
    let mut all = vec![
        limit("bce", bce.clone()),
        limit("bce, smoothed", bce.with_label_smoothing(0.1)),
        limit("bce, pos_weight 3", weighted(3.0)),
        limit("bce, pos_weight 0", weighted(0.0)),
        limit("unbiased, 1", unbiased(1.0)),
        limit("unbiased, 4", unbiased(4.0)),
        limit("asymmetric, partial", Asymmetric::partial()),
        limit("squared", SquaredError),
        limit("absolute", AbsoluteError),
        limit("huber", Huber::default()),
        limit("entropy", NegativeEntropy::default()),
    ];
    for gamma in [0.0, 0.5, 1.0, 2.0, 2.5] {
        all.push(limit("focal", SigmoidFocal::default().with_gamma(gamma).with_alpha(None)));
        all.push(limit("focal, α 0.25", SigmoidFocal::default().with_gamma(gamma).with_alpha(0.25)));
        all.push(limit("focal, α 0", SigmoidFocal::default().with_gamma(gamma).with_alpha(0.0)));
        all.push(limit("focal, α 1", SigmoidFocal::default().with_gamma(gamma).with_alpha(1.0)));
        all.push(limit("hill", Hill::default().with_gamma(gamma)));
        all.push(limit("focal-negative", FocalNegative::default().with_gamma(gamma)));
        for (clip, detach_weights) in [(0.0, false), (0.05, false), (0.05, true), (1.0, false)] {
            all.push(limit(
                "asymmetric",
                Asymmetric::default()
                    .with_gamma_positive(gamma)
                    .with_gamma_negative(gamma)
                    .with_clip(clip)
                    .with_detach_weights(detach_weights),
            ));
        }
    }
    all
}

/// At large logits exponentials vanish. Terms that grow with the logit become infinite, and all others are constant.
fn at_the_end(found: f64) -> f64 {
    if found.abs() > 100.0 { f64::INFINITY.copysign(found) } else { found }
}

#[test]
fn every_loss_has_its_limit_at_infinite_logits() {
    let limits = limits();
    for named in catalogue().iter().filter(|named| named.input_range.end().is_infinite()) {
        assert!(
            limits.iter().any(|limit| limit.named.name.starts_with(named.name)),
            "{} has no limit here",
            named.name
        );
    }
    let (x, y) = ([f64::NEG_INFINITY, f64::INFINITY].repeat(3), [0.0, 0.0, 1.0, 1.0, 0.3, 0.3]);
    let labels = Labels::complete(&tensor(&y, &[6, 1])).unwrap();
    for Limit { named, formula } in &limits {
        for (backend, kind) in
            backends().flat_map(|backend| [Kind::Double, Kind::Float, Kind::Half].map(|kind| (backend, kind)))
        {
            let input = tensor(&x, &[6, 1]).to_kind(kind);
            let (value, gradient) = value_and_gradient(named, backend, &input, &labels, Reduction::None, 1.0);
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                let exact = formula(1e6f64.copysign(*x), y);
                for (what, found, exact) in [("value", value[i], exact.value), ("slope", gradient[i], exact.derivative)]
                {
                    let expected = at_the_end(exact);
                    let close = found == expected || (found - expected).abs() <= 1e-3 * expected.abs();
                    assert!(close, "{} {backend:?} {kind:?} {what} at {x}, y {y}: {found}, not {expected}", named.name);
                }
            }
        }
    }
}

/// The expected values are worked out by hand.
#[test]
fn binary_cross_entropy_is_0_where_logit_and_label_agree_and_infinite_where_not() {
    let labels_given = vector(&[0.0, 1.0, 0.0, 1.0]);
    let labels = Labels::complete(&labels_given).unwrap();
    let logits = vector(&[f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY]);
    let infinite = f64::INFINITY;
    let known = Tensor::ones_like(&labels_given);
    let raw = Raw::Mask { labels: &labels_given, mask: &known };
    let raw = BceWithLogits::default().forward_raw(&logits, raw, Reduction::None).unwrap();
    assert_eq!(numbers(&raw), [0.0, 0.0, infinite, infinite]);
    for backend in backends() {
        for (name, loss) in [
            ("bce", Named::new("bce", BceWithLogits::default())),
            ("focal", Named::new("focal", SigmoidFocal::default().with_alpha(None).with_gamma(2.0))),
        ] {
            let (value, gradient) = value_and_gradient(&loss, backend, &logits, &labels, Reduction::None, 1.0);
            assert_eq!(value, [0.0, 0.0, infinite, infinite], "{name} {backend:?}");
            assert_eq!(gradient, [0.0, 0.0, 1.0, -1.0], "{name} {backend:?}");
        }
    }
}

#[test]
fn the_mean_of_infinite_logits_that_agree_is_that_of_the_rest() {
    let labels = Labels::from_nan(&tensor(&[0.0, 1.0, f64::NAN, 1.0], &[2, 2])).unwrap();
    let logits = tensor(&[f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY, 0.0], &[2, 2]);
    let expected = 2f64.ln() / 3.0;
    for backend in backends() {
        let named = Named::new("bce", BceWithLogits::default());
        let (value, gradient) = value_and_gradient(&named, backend, &logits, &labels, Reduction::Mean, 1.0);
        approx::assert_relative_eq!(value[0], expected, max_relative = 1e-15);
        approx::assert_relative_eq!(gradient[3], -0.5 / 3.0, max_relative = 1e-15);
        assert_eq!(gradient[..3], [0.0; 3], "{backend:?}");
    }
}

#[test]
fn every_policy_has_its_limit_too() {
    let labels = Labels::from_nan(&tensor(&[f64::NAN; 4], &[2, 2])).unwrap();
    let logits = tensor(&[f64::NEG_INFINITY, f64::INFINITY].repeat(2), &[2, 2]);
    for (name, missing) in Missing::catalogue() {
        for backend in backends() {
            let loss = BceWithLogits::default().with_missing(missing);
            let forward = |x: &_| loss.forward_on(backend, x, &labels, Reduction::None).unwrap();
            let (value, gradient) = backward(&logits, 1.0, forward);
            let [low, high] = match name {
                "ignore" | "entropy" => [(0.0, 0.0); 2],
                "half" => [(f64::INFINITY, -0.5), (f64::INFINITY, 0.5)],
                "focal-negative" => [(0.0, 0.0), (-1e-8f64.ln(), 0.0)],
                _ => [(0.0, 0.0), (f64::INFINITY, 1.0)],
            };
            for (i, (expected, slope)) in [low, high, low, high].into_iter().enumerate() {
                let close = value[i] == expected || (value[i] - expected).abs() < 1e-9;
                assert!(close && gradient[i] == slope, "{name} {backend:?}: {value:?} {gradient:?}");
            }
        }
    }
}

#[test]
fn an_entry_that_weighs_nothing_adds_nothing_whatever_its_logit() {
    let labels = Labels::complete(&tensor(&[0.0, 1.0, 0.0, 1.0], &[2, 2])).unwrap();
    let (some, each) = (vector(&[1.0, 0.0]), tensor(&[1.0, 0.0, 1.0, 0.0], &[2, 2]));
    let weighted = |weights| labels.clone().with_weights(weights).unwrap();
    let by_row = weighted(Weights::PerRow(&some));
    let by_label = weighted(Weights::PerLabel(&some));
    let by_entry = weighted(Weights::PerEntry(&each));
    for spoilt in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        for (labels, spoilt_at) in [(&by_row, [2, 3]), (&by_label, [1, 3]), (&by_entry, [1, 3])] {
            let mut x = [0.25; 4];
            spoilt_at.into_iter().for_each(|i| x[i] = spoilt);
            for (backend, name) in backends().flat_map(|backend| ["squared", "bce"].map(|name| (backend, name))) {
                let named = match name {
                    "bce" => Named::new("bce", BceWithLogits::default()),
                    _ => Named::new("squared", SquaredError),
                };
                let run =
                    |x: &[f64]| value_and_gradient(&named, backend, &tensor(x, &[2, 2]), labels, Reduction::Mean, 1.0);
                assert_eq!(run(&x), run(&[0.25; 4]), "{name} {backend:?} {spoilt}");
            }
        }
    }
}

#[test]
fn nan_still_shows() {
    let labels = Labels::complete(&vector(&[0.0, 1.0, 0.5])).unwrap();
    let logits = vector(&[f64::NAN; 3]);
    for Limit { named, .. } in limits() {
        // A class of weight 0 adds nothing.
        let silent = |i: usize| match named.name {
            "bce, pos_weight 0" => i == 1,
            "focal, α 0" => i == 1,
            "focal, α 1" => i == 0,
            _ => false,
        };
        if named.name.starts_with("unbiased") || named.name.starts_with("bce, pos") {
            continue;
        }
        for backend in backends() {
            let (value, gradient) = value_and_gradient(&named, backend, &logits, &labels, Reduction::None, 1.0);
            for i in (0..3).filter(|&i| !silent(i)) {
                assert!(value[i].is_nan(), "{} {backend:?} {i}: {value:?}", named.name);
                assert!(
                    gradient[i].is_nan() || named.name == "focal-negative",
                    "{} {backend:?}: {gradient:?}",
                    named.name
                );
            }
        }
    }
}
