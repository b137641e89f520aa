//! The policies for missing entries, each compared with its published formula in plain arithmetic.

use std::ops::RangeInclusive;

use crate::common::{Case, KINDS, backends, device, here, losses, numbers, on_both_backends, rng, tensor, vector};
use masked_loss::{
    Asymmetric, BceProbabilities, BceWithLogits, ClassSelective, Correction, Elementwise, Error, Labels, LargeLoss,
    Loss, Missing, Real, Reduction, SelfPaced, gradcheck,
};
use tch::{Device, Kind, Tensor};

const NAN: f64 = f64::NAN;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The loss of a missing entry and its derivative, for 3 labels and BCE at observed entries.
fn published(policy: &Missing, x: f64) -> (f64, f64) {
    let p = sigmoid(x);
    let (positive, negative) = (-p.ln(), -(1.0 - p).ln());
    match *policy {
        Missing::Ignore => (0.0, 0.0),
        Missing::Negative => (negative, p),
        Missing::WeakNegative => (negative / 2.0, p / 2.0),
        Missing::Label(y) => (y * positive + (1.0 - y) * negative, p - y),
        Missing::UnknownEntropy { alpha } => {
            (-alpha * (p * positive + (1.0 - p) * negative), alpha * x * p * (1.0 - p))
        }
        Missing::FocalNegative { gamma } => (p.powf(gamma) * negative, p.powf(gamma) * p),
        _ => unreachable!("a policy without a formula here"),
    }
}

#[test]
fn every_policy_is_its_formula_and_leaves_observed_entries_alone() {
    let x = [0.3, -2.0, 4.0, -0.7, 1.5, -6.0];
    let y = [1.0, NAN, NAN, NAN, 0.0, NAN];
    let labels = Labels::from_nan(&tensor(&y, &[2, 3])).unwrap();
    for (name, policy) in Missing::catalogue() {
        let loss = BceWithLogits::default().with_missing(policy);
        for backend in backends() {
            let leaf = tensor(&x, &[2, 3]).set_requires_grad(true);
            let entries = loss.forward_on(backend, &leaf, &labels, Reduction::None).unwrap();
            entries.sum(Kind::Double).backward();
            for (i, (&x, &y)) in x.iter().zip(&y).enumerate() {
                let p = sigmoid(x);
                let (value, slope) = match y.is_nan() {
                    true => published(&policy, x),
                    false => (-(y * p.ln() + (1.0 - y) * (1.0 - p).ln()), p - y),
                };
                approx::assert_relative_eq!(numbers(&entries)[i], value, max_relative = 1e-13);
                approx::assert_relative_eq!(numbers(&leaf.grad())[i], slope, max_relative = 1e-13);
                assert!(slope == 0.0 || numbers(&leaf.grad())[i] != 0.0, "{name} {backend:?}");
            }
        }
    }
}

#[test]
fn every_policy_goes_with_every_loss_on_both_backends() {
    let mut rng = rng(41);
    for named in losses(4) {
        for (name, policy) in Missing::catalogue() {
            // Entropy and focal weight need logits.
            if named.input_range.start().is_finite() && matches!(name, "entropy" | "focal-negative") {
                continue;
            }
            let case = Case::draw(&mut rng, &named, &[300, 4], 0.5, false);
            let loss = named.with_missing(policy);
            for kind in KINDS {
                let results = on_both_backends(|backend, device| {
                    let leaf = case.input(kind).to_device(device).set_requires_grad(true);
                    let labels = case.labels().to_device(device).unwrap();
                    let mean = loss.forward_on(backend, &leaf, &labels, Reduction::Mean).unwrap();
                    mean.backward();
                    (numbers(&mean)[0], numbers(&leaf.grad()))
                });
                let [(composed, slopes), (fused, fused_slopes)] = results;
                let limit = if kind == Kind::Double { 1e-13 } else { 1e-5 };
                approx::assert_relative_eq!(composed, fused, max_relative = limit);
                // At a probability of 1 and the label 0, f16 cannot represent the slope.
                let largest = slopes.iter().filter(|slope| slope.is_finite()).fold(0.0, |a: f64, b| a.max(b.abs()));
                let half = if matches!(kind, Kind::Half | Kind::BFloat16) { 1e-2 } else { limit };
                for (composed, fused) in slopes.into_iter().zip(fused_slopes) {
                    let close = composed == fused || (composed - fused).abs() <= half * largest;
                    assert!(close, "{}, {name}: {composed} {fused}", named.name);
                }
            }
        }
    }
}

#[test]
fn the_gradient_with_missing_entries_is_that_of_finite_differences() {
    let x = tensor(&[0.3, -2.0, 4.0, -0.7, 1.5, -6.0, 0.1, 2.5], &[2, 4]);
    let labels = Labels::from_nan(&tensor(&[1.0, NAN, 0.0, NAN, NAN, 1.0, NAN, 0.0], &[2, 4])).unwrap();
    for (name, policy) in Missing::catalogue() {
        // Its focal weight is constant for the gradient, but not for finite differences.
        if name == "focal-negative" {
            continue;
        }
        let report = gradcheck(&BceWithLogits::default().with_missing(policy), &x, &labels).unwrap();
        assert!(report.worst.unwrap().error() < 1e-6, "{name}: {report}");
        assert_eq!(report.leaks.is_empty(), name == "ignore", "{name}: {report}");
    }
}

#[test]
fn on_complete_labels_no_policy_makes_a_difference() {
    let mut rng = rng(42);
    for named in losses(3) {
        let case = Case::draw(&mut rng, &named, &[6, 3], 1.0, false);
        for (name, policy) in Missing::catalogue() {
            if named.input_range.start().is_finite() && matches!(name, "entropy" | "focal-negative") {
                continue;
            }
            for backend in backends() {
                let of = |loss: &dyn Loss, reduction| {
                    let (input, labels) = (case.input(Kind::Double), case.labels());
                    numbers(&loss.forward_on(backend, &input, &labels, reduction).unwrap())
                };
                for reduction in [Reduction::None, Reduction::Mean] {
                    let found = of(&named.with_missing(policy), reduction);
                    let expected = of(&*named.loss, reduction);
                    // A GPU multiplies by the reciprocal of a count that the CPU knows.
                    let close = device() != Device::Cpu && reduction == Reduction::Mean;
                    let limit = if close { 1e-15 * expected[0] } else { 0.0 };
                    let mut pairs = found.iter().zip(&expected);
                    let equal = pairs.all(|(found, expected)| (found - expected).abs() <= limit);
                    assert!(equal, "{}, {name}, {reduction:?}: {found:?}, {expected:?}", named.name);
                }
            }
        }
    }
}

#[test]
fn partial_asl_is_that_of_its_authors() {
    // Ben-Baruch et al. 2022: γ⁺ 0, γ⁻ 1, γ of missing entries 2, focal weights detached.
    let (x, y) = ([0.4, -1.0, 2.0], [1.0, 0.0, NAN]);
    let loss = Asymmetric::partial().with_missing(Missing::FocalNegative { gamma: 2.0 });
    let leaf = vector(&x).set_requires_grad(true);
    let entries = loss.forward(&leaf, &Labels::from_nan(&vector(&y)).unwrap(), Reduction::None).unwrap();
    entries.sum(Kind::Double).backward();
    let p = x.map(sigmoid);
    let negative = |p: f64| -(1.0 - p).ln();
    let expected = [-p[0].ln(), p[1] * negative(p[1]), p[2].powi(2) * negative(p[2])];
    let slopes = [p[0] - 1.0, p[1] * p[1], p[2].powi(3)];
    for i in 0..3 {
        approx::assert_relative_eq!(numbers(&entries)[i], expected[i], max_relative = 1e-13);
        approx::assert_relative_eq!(numbers(&leaf.grad())[i], slopes[i], max_relative = 1e-13);
    }
}

#[test]
fn a_missing_entry_that_counts_hides_no_nan() {
    let labels = Labels::from_nan(&vector(&[1.0, NAN])).unwrap();
    for (name, policy) in Missing::catalogue() {
        for backend in backends() {
            let loss = BceWithLogits::default().with_missing(policy);
            let found = loss.forward_on(backend, &vector(&[0.5, NAN]), &labels, Reduction::Sum).unwrap();
            assert_eq!(numbers(&found)[0].is_nan(), name != "ignore", "{name}, {backend:?}");
        }
    }
}

#[test]
fn what_cannot_be_assumed_is_an_error() {
    let labels = Labels::from_nan(&vector(&[1.0, NAN])).unwrap();
    let refused = |missing| {
        let loss = BceWithLogits::default().with_missing(missing);
        loss.forward(&vector(&[0.5, 0.5]), &labels, Reduction::Sum).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Missing::Label(1.5)),
        "the label of a missing entry: expected a number within [0.0, 1.0], found 1.5"
    );
    assert!(refused(Missing::Label(NAN)).contains("found NaN"));
    assert!(refused(Missing::UnknownEntropy { alpha: -1.0 }).starts_with("alpha"));
    assert!(refused(Missing::FocalNegative { gamma: NAN }).starts_with("gamma"));
    for missing in [Missing::UnknownEntropy { alpha: 0.1 }, Missing::FocalNegative { gamma: 2.0 }] {
        let error = BceProbabilities.with_missing(missing).forward(&vector(&[0.5, 0.5]), &labels, Reduction::Sum);
        let said = error.unwrap_err().to_string();
        assert_eq!(said, "missing: expected a policy for probabilities, found `a policy for logits`");
        // Logits may have bounds too.
        let loss = Bounded.with_missing(missing).forward(&vector(&[0.5, 0.5]), &labels, Reduction::Sum);
        assert!(loss.is_ok(), "{loss:?}");
    }
}

/// A loss of logits that are not large.
struct Bounded;

impl Elementwise for Bounded {
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        BceWithLogits::default().entry(x, y)
    }
    fn input_range(&self) -> RangeInclusive<f64> {
        -30.0..=30.0
    }
}

/// 2 rows, 3 labels; observed: one positive a row.
fn positives_only() -> (Tensor, Labels) {
    let labels = Labels::from_nan(&tensor(&[1.0, NAN, NAN, NAN, 1.0, NAN], &[2, 3])).unwrap();
    (tensor(&[-3.0, 0.2, 1.0, 2.0, 5.0, -4.0], &[2, 3]), labels)
}

/// How each entry counts, with missing ones taken as negative: `+`, `-`, or `0` for a weight of 0.
fn taken(labels: &Labels) -> String {
    let zero = Tensor::zeros([2, 3], here(Kind::Double));
    let entries = BceWithLogits::default().with_missing(Missing::Negative);
    let entries = numbers(&entries.forward(&zero, labels, Reduction::None).unwrap());
    let values = numbers(&labels.values().unwrap());
    entries
        .iter()
        .zip(values)
        .map(|(&l, y)| {
            if l == 0.0 {
                '0'
            } else if y == 1.0 {
                '+'
            } else {
                '-'
            }
        })
        .collect()
}

#[test]
fn what_the_model_is_sure_of_becomes_positive_from_the_second_epoch() {
    let (logits, labels) = positives_only();
    let policy = SelfPaced::default();
    assert_eq!(taken(&policy.relabel(&logits, &labels, 1).unwrap()), "+---+-");
    // σ(1) = 0.73 and σ(2) = 0.88 are above 0.6; σ(0.2) = 0.55 is not.
    let relabelled = policy.relabel(&logits, &labels, 2).unwrap();
    assert_eq!(taken(&relabelled), "+-+++-");
    assert_eq!(numbers(&relabelled.observed_count().unwrap()), [4.0]);
    let wrong = policy.relabel(&logits.get(0), &labels, 2);
    assert!(matches!(wrong, Err(Error::Shape { argument: "logits", .. })), "{wrong:?}");
}

#[test]
fn likely_positives_are_no_negatives() {
    let (logits, labels) = positives_only();
    let priors = vector(&[0.01, 0.01, 0.2]);
    let none = ClassSelective::default().with_prior(0.5).with_per_row(0);
    assert_eq!(taken(&none.relabel(&logits, &labels, &priors).unwrap()), "+---+-");
    let by_prior = ClassSelective::default().with_prior(0.05).with_per_row(0);
    assert_eq!(taken(&by_prior.relabel(&logits, &labels, &priors).unwrap()), "+-0-+0");
    // The two highest missing ones: 2.0 and 1.0.
    let by_rank = ClassSelective::default().with_prior(0.5).with_per_row(1);
    assert_eq!(taken(&by_rank.relabel(&logits, &labels, &priors).unwrap()), "+-00+-");
    assert_eq!(taken(&ClassSelective::default().relabel(&logits, &labels, &priors).unwrap()), "+000+0");
    assert!(none.relabel(&logits, &labels, &vector(&[0.1])).is_err());
}

#[test]
fn the_largest_losses_are_dropped_or_flipped_more_with_every_epoch() {
    let (logits, labels) = positives_only();
    let with = |correction, epoch| {
        let policy = LargeLoss::default().with_correction(correction).with_step(0.2);
        taken(&policy.relabel(&logits, &labels, epoch).unwrap())
    };
    assert_eq!(with(Correction::Reject, 1), "+---+-");
    // ⌈6 · 0.2⌉ = 2, then ⌈6 · 0.4⌉ = 3: in descending order of the logit.
    assert_eq!(with(Correction::Reject, 2), "+-00+-");
    assert_eq!(with(Correction::Reject, 3), "+000+-");
    assert_eq!(with(Correction::Flip, 2), "+-+++-");
    assert_eq!(with(Correction::Reject, 100), "+000+0");
    assert!(
        LargeLoss::default().with_correction(Correction::Flip).with_step(-0.1).relabel(&logits, &labels, 2).is_err()
    );
}

#[test]
fn a_prior_is_imputed_label_by_label() {
    let (_, labels) = positives_only();
    let imputed = labels.imputed(&vector(&[0.25, 0.5, 0.75])).unwrap();
    assert_eq!(numbers(&imputed.values().unwrap()), [1.0, 0.5, 0.75, 0.25, 1.0, 0.75]);
    assert_eq!(numbers(&imputed.observed_count().unwrap()), [6.0]);
    assert!(labels.imputed(&vector(&[0.25])).is_err());
    assert!(labels.imputed(&vector(&[0.25, NAN, 0.1])).is_err());
}
