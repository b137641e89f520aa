//! Formulas that select by the logit, as a user might write them: both backends evaluate them alike.

use crate::common::{Case, numbers, on_both_backends, rng, value_and_gradient};
use masked_loss::{Elementwise, Loss, Missing, Named, Real, Reduction};
use tch::Kind;

/// A logit below 0 counts as 0.
struct Rectified;
impl Elementwise for Rectified {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let p = x.select_lt(0.0, &x.constant(0.0), x).sigmoid();
        (p.clone() - y) * p
    }
}

/// A logit is no less than ½.
struct Floored;
impl Elementwise for Floored {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        -x.at_least(0.5).log_sigmoid().weighted(y)
    }
}

/// A margin for negatives only.
struct Margin;
impl Elementwise for Margin {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let p = y.select_lt(0.5, &x.shift(1.0), x).sigmoid();
        (p.clone() - y) * p
    }
}

fn formulas() -> [Named; 3] {
    [Named::new("rectified", Rectified), Named::new("floored", Floored), Named::new("margin", Margin)]
}

#[test]
fn a_selected_logit_is_read_alike_by_both_backends() {
    let mut rng = rng(11);
    for named in formulas() {
        for soft in [false, true] {
            let case = Case::draw(&mut rng, &named, &[9, 131], 0.4, soft);
            for kind in [Kind::Double, Kind::Float] {
                let [composed, fused] = on_both_backends(|backend, device| {
                    let (input, labels) =
                        (case.input(kind).to_device(device), case.labels().to_device(device).unwrap());
                    value_and_gradient(&named, backend, &input, &labels, Reduction::None, 0.5)
                });
                let epsilon = if kind == Kind::Double { 1e-15 } else { 1e-6 };
                for (composed, fused) in [(composed.0, fused.0), (composed.1, fused.1)] {
                    for (composed, fused) in composed.into_iter().zip(fused) {
                        assert!((composed - fused).abs() <= epsilon, "{}: {composed}, {fused}", named.name);
                    }
                }
            }
        }
    }
}

/// Only the second formula takes a sigmoid of the input.
#[test]
fn what_is_assumed_of_missing_entries_leaves_nothing_behind() {
    let mut rng = rng(12);
    for named in formulas() {
        let case = Case::draw(&mut rng, &named, &[40, 500], 0.5, false);
        let loss = named.with_missing(Missing::UnknownEntropy { alpha: 0.1 });
        let [composed, fused] = on_both_backends(|backend, device| {
            let (input, labels) =
                (case.input(Kind::Double).to_device(device), case.labels().to_device(device).unwrap());
            loss.forward_on(backend, &input, &labels, Reduction::None).unwrap()
        });
        for (composed, fused) in numbers(&composed).into_iter().zip(numbers(&fused)) {
            assert!((composed - fused).abs() <= 1e-15, "{}: {composed}, {fused}", named.name);
        }
    }
}
