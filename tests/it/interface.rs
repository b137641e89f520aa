//! The interface: losses that are shared, boxed and chosen by a text, and pairs on a backend of the caller's choice.

use std::sync::Arc;

use masked_loss::{
    Asymmetric, Backend, BceWithLogits, Censored, ClassSelective, Correction, Elementwise, Error, Hill, Huber, Labels,
    LargeLoss, Loss, Missing, Named, PartialBce, Propensity, Reduction, SelfPaced, SigmoidFocal, catalogue,
};
use tch::{Kind, Tensor};

use crate::common::{REDUCTIONS, backends, numbers, tensor};

fn case() -> (Tensor, Labels) {
    let labels = tensor(&[1.0, f64::NAN, 0.0, 1.0, 0.0, f64::NAN], &[3, 2]);
    (tensor(&[0.5, 9.0, -1.0, 2.0, 0.25, -3.0], &[3, 2]), Labels::from_nan(&labels).unwrap())
}

fn of(loss: &dyn Loss) -> Vec<f64> {
    let (logits, labels) = case();
    numbers(&loss.forward(&logits, &labels, Reduction::None).unwrap())
}

#[test]
fn shared_and_boxed_losses_are_the_loss() {
    let focal = || SigmoidFocal::default().with_gamma(1.5);
    let expected = of(&focal());
    assert_eq!(of(&Arc::new(focal())), expected);
    assert_eq!(of(&(Box::new(focal()) as Box<dyn Loss>)), expected);
    assert_eq!(of(&(Box::new(focal()) as Box<dyn Loss + Send + Sync>)), expected);
    // All that a formula says of itself goes through.
    let weighted = Arc::new(BceWithLogits::default().with_pos_weight(vec![2.0, 3.0]).with_label_smoothing(0.1));
    assert_eq!(of(&weighted), of(&*weighted));
    assert_eq!((weighted.parameter(), weighted.label_range()), ((*weighted).parameter(), 0.0..=1.0));
    assert_eq!(Arc::new(Huber::default()).label_range(), f64::NEG_INFINITY..=f64::INFINITY);
    assert!(Arc::new(Huber::default().with_delta(-1.0)).validate().is_err());
}

#[test]
fn losses_go_to_other_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    for named in catalogue() {
        shared(&named);
        shared(&named.with_missing(Missing::Negative));
        if named.input_range.contains(&9.0) {
            let expected = of(&*named.loss);
            let found = std::thread::scope(|scope| scope.spawn(|| of(&*named.loss)).join().unwrap());
            assert_eq!(found, expected, "{}", named.name);
        }
    }
    shared(&Censored::new(Huber::default()));
}

#[test]
fn a_pair_comes_from_the_backend_that_was_asked_for() {
    let (logits, labels) = case();
    let losses = [
        Box::new(BceWithLogits::default()) as Box<dyn Loss>,
        Box::new(BceWithLogits::default().with_missing(Missing::Negative)),
        Box::new(Censored::new(Huber::default())),
    ];
    for (loss, backend) in losses.iter().flat_map(|loss| backends().map(move |backend| (loss, backend))) {
        for reduction in REDUCTIONS.into_iter().filter(|&by| by != Reduction::None) {
            let leaf = logits.copy().set_requires_grad(true);
            let (sum, weight) = loss.sum_and_weight_on(backend, &leaf, &labels, reduction).unwrap();
            let mean = loss.forward_on(backend, &logits, &labels, reduction).unwrap();
            approx::assert_relative_eq!((&sum / weight).double_value(&[]), mean.double_value(&[]), epsilon = 1e-12);
            // Only the composed backend has a second derivative.
            let slope = Tensor::run_backward(&[sum], &[&leaf], true, true).remove(0).sum(Kind::Double);
            let second = Tensor::f_run_backward(&[slope], &[&leaf], false, false);
            assert_eq!(second.is_ok(), backend == Backend::Composed, "{backend:?}, {reduction:?}");
        }
    }
}

#[test]
fn texts_choose_losses_with_settings() {
    let found = |text| of(&*Named::from_text(text, 2).unwrap().loss);
    for named in catalogue() {
        if named.input_range.contains(&9.0) {
            assert_eq!(found(named.name), of(&*named.loss), "{}", named.name);
        }
    }
    assert_eq!(found("focal:gamma=1.5:alpha=none"), of(&SigmoidFocal::default().with_gamma(1.5).with_alpha(None)));
    assert_eq!(
        found("hill:lambda=2:margin=-1:gamma=3"),
        of(&Hill::default().with_lambda(2.0).with_margin(-1.0).with_gamma(3.0))
    );
    assert_eq!(found("bce:pos_weight=3"), of(&BceWithLogits::default().with_pos_weight(vec![3.0; 2])));
    assert_eq!(found("huber:delta=0.5"), of(&Huber::default().with_delta(0.5)));
    let partial = "asymmetric:gamma_positive=0:gamma_negative=1:clip=0:detach_weights=true";
    assert_eq!(found(partial), of(&Asymmetric::partial()));

    let message = |text| Named::from_text(text, 2).unwrap_err();
    let unknown = message("bces");
    assert!(matches!(unknown, Error::Text { .. }), "{unknown:?}");
    assert!(unknown.to_string().starts_with("loss: expected one of bce, bce-probabilities, focal, "), "{unknown}");
    assert_eq!(
        message("huber:delta=0").to_string().split(',').next(),
        Some("delta: expected a number within [1.1754943508222875e-38")
    );
    assert!(matches!(message("huber:delta=0"), Error::Range { argument: "delta", .. }));
}

#[test]
fn defaults_are_those_published() {
    assert_eq!(SelfPaced::default(), SelfPaced::default().with_threshold(0.6).with_from_epoch(2));
    assert_eq!(ClassSelective::default(), ClassSelective::default().with_prior(0.05).with_per_row(5));
    assert_eq!(LargeLoss::default(), LargeLoss::default().with_correction(Correction::Reject).with_step(0.002));
    assert_eq!(PartialBce::default(), PartialBce::default().with_alpha(-4.45).with_beta(5.45).with_gamma(1.0));
    assert_eq!(Propensity::default(), Propensity::default().with_a(0.55).with_b(1.5));
    assert_eq!(SigmoidFocal::default(), SigmoidFocal::default().with_alpha(0.25).with_gamma(2.0));
    assert_eq!(Hill::default(), Hill::default().with_lambda(1.5).with_margin(1.0).with_gamma(2.0));
    let asymmetric = Asymmetric::default().with_gamma_positive(1.0).with_gamma_negative(4.0).with_clip(0.05);
    assert_eq!(Asymmetric::default(), asymmetric.with_detach_weights(false));
    let partial = Asymmetric::default().with_gamma_positive(0.0).with_gamma_negative(1.0).with_clip(0.0);
    assert_eq!(Asymmetric::partial(), partial.with_detach_weights(true));
}

#[test]
fn texts_choose_policies_with_settings() {
    for (name, policy) in Missing::catalogue() {
        assert_eq!(name.parse::<Missing>().unwrap(), policy);
    }
    assert_eq!("entropy:alpha=0.2".parse::<Missing>().unwrap(), Missing::UnknownEntropy { alpha: 0.2 });
    assert_eq!("focal-negative:gamma=1".parse::<Missing>().unwrap(), Missing::FocalNegative { gamma: 1.0 });
    assert_eq!("half:label=0.25".parse::<Missing>().unwrap(), Missing::Label(0.25));
    let message = |text: &str| text.parse::<Missing>().unwrap_err().to_string();
    assert!(message("none").starts_with("missing: expected one of ignore, negative, "));
    assert_eq!(message("ignore:label=1"), "ignore: expected no settings, found `label`");
}
