//! What a loss says of itself: the settings, inputs and labels that it accepts, and its parameter.

use std::ops::RangeInclusive;
use std::sync::Arc;

use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, FocalNegative, Hill, Huber, NegativeEntropy, REAL,
    SigmoidFocal, SquaredError, UnbiasedBce,
};
use masked_loss_core::{Elementwise, Error, Formula};

const NAN: f64 = f64::NAN;
const UNIT: RangeInclusive<f64> = 0.0..=1.0;

/// As a formula, and shared.
fn each<E: Elementwise + 'static>(loss: E, check: impl Fn(&dyn Formula)) {
    check(&loss);
    check(&Arc::new(loss));
}

fn accepted<E: Elementwise + 'static>(loss: E, input: RangeInclusive<f64>, label: RangeInclusive<f64>) {
    each(loss, |formula| {
        assert_eq!(formula.validate(), Ok(()));
        assert_eq!((formula.input_range(), formula.label_range()), (input.clone(), label.clone()));
    });
}

fn refused<E: Elementwise + 'static>(setting: &str, loss: E) {
    each(loss, |formula| match formula.validate() {
        Err(Error::Range { argument, .. }) => assert_eq!(argument, setting),
        found => panic!("{setting}: {found:?}"),
    });
}

#[test]
fn a_loss_accepts_settings_up_to_their_bounds() {
    let bce = BceWithLogits::default;
    accepted(bce(), REAL, UNIT);
    accepted(bce().with_label_smoothing(1.0).with_pos_weight(vec![0.0, f64::MAX]), REAL, UNIT);
    accepted(BceProbabilities, UNIT, UNIT);
    accepted(SigmoidFocal::default().with_alpha(0.0).with_gamma(0.0), REAL, UNIT);
    accepted(SigmoidFocal::default().with_alpha(1.0), REAL, UNIT);
    let asymmetric = Asymmetric::default();
    accepted(asymmetric.with_clip(0.0).with_gamma_positive(0.0).with_gamma_negative(0.0), REAL, UNIT);
    accepted(Asymmetric::default().with_clip(1.0), REAL, UNIT);
    accepted(Hill::default().with_lambda(0.0).with_margin(-1.0).with_gamma(0.0), REAL, UNIT);
    accepted(NegativeEntropy::default().with_alpha(0.0), REAL, UNIT);
    accepted(FocalNegative::default().with_gamma(0.0), REAL, UNIT);
    accepted(UnbiasedBce::new(vec![1.0, 2.0]), REAL, UNIT);
    accepted(Huber::default().with_delta(1e-30), REAL, REAL);
    accepted(SquaredError, REAL, REAL);
    accepted(AbsoluteError, REAL, REAL);
}

#[test]
fn a_loss_names_the_setting_that_it_refuses() {
    for negative in [-1e-9, NAN] {
        refused("pos_weight", BceWithLogits::default().with_pos_weight(vec![1.0, negative]));
        refused("label_smoothing", BceWithLogits::default().with_label_smoothing(negative));
        refused("alpha", SigmoidFocal::default().with_alpha(negative));
        refused("gamma", SigmoidFocal::default().with_gamma(negative));
        refused("gamma_positive", Asymmetric::default().with_gamma_positive(negative));
        refused("gamma_negative", Asymmetric::default().with_gamma_negative(negative));
        refused("clip", Asymmetric::default().with_clip(negative));
        refused("lambda", Hill::default().with_lambda(negative));
        refused("gamma", Hill::default().with_gamma(negative));
        refused("alpha", NegativeEntropy::default().with_alpha(negative));
        refused("gamma", FocalNegative::default().with_gamma(negative));
        refused("inverse_propensity", UnbiasedBce::new(vec![1.0, 1.0 + negative]));
        refused("delta", Huber::default().with_delta(negative));
    }
    refused("delta", Huber::default().with_delta(0.0));
    for above in [1.0 + 1e-9, f64::INFINITY] {
        refused("label_smoothing", BceWithLogits::default().with_label_smoothing(above));
        refused("alpha", SigmoidFocal::default().with_alpha(above));
        refused("clip", Asymmetric::default().with_clip(above));
    }
    for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
        refused("gamma", SigmoidFocal::default().with_gamma(infinite));
        refused("margin", Hill::default().with_margin(infinite));
        refused("pos_weight", BceWithLogits::default().with_pos_weight(vec![infinite]));
        refused("delta", Huber::default().with_delta(infinite));
    }
}

#[test]
fn a_loss_passes_its_parameter_on() {
    each(SquaredError, |formula| assert_eq!(formula.parameter(), None));
    each(BceWithLogits::default(), |formula| assert_eq!(formula.parameter(), None));
    each(BceWithLogits::default().with_pos_weight(vec![1.0, 2.0]), |formula| {
        assert_eq!(formula.parameter(), Some(("pos_weight", &[1.0, 2.0][..])));
    });
    each(UnbiasedBce::new(vec![3.0]), |formula| {
        assert_eq!(formula.parameter(), Some(("inverse_propensity", &[3.0][..])));
    });
}
