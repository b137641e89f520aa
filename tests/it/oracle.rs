//! Agreement of the backends with the formula over `Dual<f64>`, and with PyTorch's own functions where they exist.

use crate::common::{Case, Tracked, backends, here, losses, numbers, rng, tensor, value_and_gradient, vector};
use masked_loss::{
    AbsoluteError, Asymmetric, Backend, BceProbabilities, BceWithLogits, Dual, Elementwise, Hill, Huber, Labels, Loss,
    Named, Reduction, SigmoidFocal, SquaredError, UnbiasedBce, catalogue, gradcheck, masked_bce,
    masked_bce_with_logits,
};
use rand::Rng;
use tch::{Kind, Tensor};

/// Logits from the dense middle to the far tails, and 0.
fn logits() -> Vec<f64> {
    let mut logits: Vec<f64> = (-2000..=2000).map(|i| f64::from(i) * 0.01).collect();
    for tail in [30.0, 87.5, 88.8, 100.0, 103.9, 104.5, 700.0, 745.0, 1e4, 1e30] {
        logits.extend([tail, -tail]);
    }
    logits
}

/// The machine epsilon, and the smallest normal number.
fn precision(kind: Kind) -> (f64, f64) {
    match kind {
        Kind::Double => (f64::EPSILON, f64::MIN_POSITIVE),
        _ => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE)),
    }
}

/// The distance in units of `kind`'s last place; below the normal numbers, in units of the smallest normal number's.
fn ulps(found: f64, exact: f64, kind: Kind) -> f64 {
    let (epsilon, smallest) = precision(kind);
    if found == exact { 0.0 } else { (found - exact).abs() / (epsilon * exact.abs().max(smallest)) }
}

#[test]
fn both_backends_agree_with_the_dual_oracle_to_the_last_places() {
    let x = logits();
    for (kind, backend) in backends().flat_map(|backend| [Kind::Double, Kind::Float].map(|kind| (kind, backend))) {
        let limit = if (kind, backend) == (Kind::Float, Backend::Fused) { 6.0 } else { 8.0 };
        for y in [0.0, 1.0] {
            let labels = Labels::complete(&Tensor::full([x.len() as i64], y, here(Kind::Double))).unwrap();
            let input = vector(&x).to_kind(kind);
            let bce = Named::new("bce", BceWithLogits::default());
            let (value, gradient) = value_and_gradient(&bce, backend, &input, &labels, Reduction::None, 1.0);
            // The inputs as rounded to the dtype.
            for (i, x) in numbers(&input).into_iter().enumerate() {
                let exact = BceWithLogits::default().entry(&Dual::variable(x), &Dual::fixed(y));
                for (found, exact) in [(value[i], exact.value), (gradient[i], exact.derivative)] {
                    let rounded = if kind == Kind::Float { f64::from(exact as f32) } else { exact };
                    let off = ulps(found, rounded, kind);
                    assert!(off <= limit, "{backend:?} {kind:?} x {x} y {y}: {found} against {exact}, {off} ULP");
                }
            }
        }
    }
}

/// A loss, and its formula for one entry of a label.
type WithFormula = (Named, Box<dyn Fn(f64, f64, usize) -> Dual<Tracked>>);

fn with_formula<E: Elementwise + Clone + 'static>(name: &'static str, loss: E) -> WithFormula {
    let named = Named::new(name, loss.clone());
    let formula = move |x, y, label| {
        let (x, y) = (Dual::variable(Tracked::exact(x)), Dual::fixed(Tracked::exact(y)));
        match loss.parameter() {
            Some((_, parameter)) => loss.entry_with(&x, &y, &Dual::fixed(Tracked::exact(parameter[label]))),
            None => loss.entry(&x, &y),
        }
    };
    (named, Box::new(formula))
}

#[test]
fn every_loss_agrees_with_its_formula_over_dual_numbers() {
    let bce = BceWithLogits::default();
    let losses = [
        with_formula("bce", bce.clone()),
        with_formula("bce-probabilities", BceProbabilities),
        with_formula("focal", SigmoidFocal::default()),
        with_formula("asymmetric", Asymmetric::default()),
        with_formula("hill", Hill::default()),
        with_formula("huber", Huber::default()),
        with_formula("squared", SquaredError),
        with_formula("absolute", AbsoluteError),
        with_formula("bce, smoothed", bce.clone().with_label_smoothing(0.125)),
        with_formula("bce, pos_weight", bce.with_pos_weight(vec![0.25, 1.0, 7.0])),
        with_formula("unbiased-bce", UnbiasedBce::new(vec![1.0, 1.5, 9.0])),
        with_formula("focal, 2.5", SigmoidFocal::default().with_gamma(2.5).with_alpha(None)),
    ];
    let names: Vec<_> = catalogue().iter().map(|named| named.name).collect();
    let here: Vec<_> = losses.iter().map(|(named, _)| named.name).collect();
    assert_eq!(here[..names.len()], names, "the losses here must begin with those of the catalogue, in its order");
    for (named, formula) in &losses {
        for (backend, kind) in backends().flat_map(|backend| [Kind::Double, Kind::Float].map(|kind| (backend, kind))) {
            agrees(named, formula, backend, kind);
        }
    }
}

fn agrees(named: &Named, formula: &dyn Fn(f64, f64, usize) -> Dual<Tracked>, backend: Backend, kind: Kind) {
    let mut x = logits();
    if named.input_range.end().is_finite() {
        x = x.into_iter().filter(|x| x.abs() <= 20.0).map(|x| (x + 20.0) / 40.0).collect();
    }
    x.truncate(x.len() / 3 * 3);
    let size = [x.len() as i64 / 3, 3];
    let labels = if named.label_range.end().is_finite() { [0.0, 0.375, 1.0] } else { [0.0, 0.5, -7.25] };
    let input = tensor(&x, &size).to_kind(kind);
    let (epsilon, smallest) = precision(kind);
    for y in labels {
        let labels = Labels::complete(&tensor(&vec![y; x.len()], &size)).unwrap();
        let (value, gradient) = value_and_gradient(named, backend, &input, &labels, Reduction::None, 1.0);
        // The inputs as rounded to the dtype.
        for (i, x) in numbers(&input).into_iter().enumerate() {
            let exact = formula(x, y, i % 3);
            for (what, found, exact) in [("value", value[i], exact.value), ("slope", gradient[i], exact.derivative)] {
                let Tracked { value: expected, error } = exact;
                let rounded = if kind == Kind::Float { f64::from(expected as f32) } else { expected };
                // Twice the bound on rounding after every operation of the formula. Numbers below the normal ones may
                // be flushed to 0, and multiplied afterwards.
                let limit = 2.0 * epsilon * error + 100.0 * smallest;
                assert!(
                    found == rounded || (found - expected).abs() <= limit,
                    "{}, {backend:?}, {kind:?}, {what} at x {x}, y {y}: {found} against {expected}, beyond {limit:e}",
                    named.name
                );
            }
        }
    }
}

#[test]
fn bce_is_pytorchs_binary_cross_entropy_with_logits() {
    let mut rng = rng(11);
    let x = logits();
    let size = [x.len() as i64 / 3, 3];
    let count = (size[0] * 3) as usize;
    for soft in [false, true] {
        let y: Vec<f64> = (0..count)
            .map(|_| if soft { rng.random_range(0.0..=1.0) } else { f64::from(rng.random_bool(0.5)) })
            .collect();
        for pos_weight in [None, Some(vec![0.5, 1.0, 7.0])] {
            let weight = pos_weight.as_ref().map(|w| vector(w));
            let bce = Named::new("bce", BceWithLogits::default().with_pos_weight(pos_weight));
            // Beyond ±1e4 PyTorch's own formula loses the small term, so the comparison stops there.
            let logits = tensor(&x[..count], &size).clamp(-1e4, 1e4);
            let labels = Labels::complete(&tensor(&y, &size)).unwrap();
            let leaf = logits.copy().set_requires_grad(true);
            let theirs = leaf.binary_cross_entropy_with_logits(
                &tensor(&y, &size),
                None::<&Tensor>,
                weight.as_ref(),
                tch::Reduction::None,
            );
            theirs.sum(Kind::Double).backward();
            for backend in backends() {
                let (value, gradient) = value_and_gradient(&bce, backend, &logits, &labels, Reduction::None, 1.0);
                for (ours, theirs) in [(value, numbers(&theirs)), (gradient, numbers(&leaf.grad()))] {
                    for (ours, theirs) in ours.into_iter().zip(theirs) {
                        approx::assert_abs_diff_eq!(ours, theirs, epsilon = 2e-15 * theirs.abs().max(20.0));
                    }
                }
            }
        }
    }
}

#[test]
fn bce_from_probabilities_is_pytorchs_at_the_edges_too() {
    let p = [0.0, 1e-40, 1e-20, 1e-13, 1e-12, 1e-11, 0.1, 0.5, 0.9, 1.0 - 1e-11, 1.0 - 1e-13, 1.0];
    for y in [0.0, 0.3, 1.0] {
        let labels = Tensor::full([p.len() as i64], y, here(Kind::Double));
        let leaf = vector(&p).set_requires_grad(true);
        let theirs = leaf.binary_cross_entropy(&labels, None::<&Tensor>, tch::Reduction::None);
        theirs.sum(Kind::Double).backward();
        let named = Named::new("bce-probabilities", BceProbabilities);
        for backend in backends() {
            let labels = Labels::complete(&labels).unwrap();
            let (value, gradient) = value_and_gradient(&named, backend, &leaf, &labels, Reduction::None, 1.0);
            for i in 0..p.len() {
                approx::assert_relative_eq!(value[i], numbers(&theirs)[i], max_relative = 1e-14);
                // PyTorch rounds 1 − p before it multiplies; near 1 that alone is an error of 1e-16 in 1e-11.
                approx::assert_relative_eq!(gradient[i], numbers(&leaf.grad())[i], max_relative = 1e-9);
            }
        }
    }
}

#[test]
fn the_gradient_of_every_loss_is_that_of_finite_differences() {
    let mut rng = rng(12);
    for named in losses(4) {
        for soft in [false, true] {
            let mut case = Case::draw(&mut rng, &named, &[6, 4], 0.6, soft).spoilt(f64::NAN);
            // Keep inputs away from the bounds that the loss accepts.
            if named.input_range.end().is_finite() {
                case.input.iter_mut().for_each(|p| *p = 0.05 + 0.9 * *p);
            }
            let report = gradcheck(&*named.loss, &case.input(Kind::Double), &case.labels()).unwrap();
            assert!(report.passes(1e-6), "{}: {report}", named.name);
            assert_eq!(report.entries, 24);
        }
    }
}

#[test]
fn gradcheck_sees_a_wrong_gradient() {
    /// The value is right; `detach` drops half of the gradient.
    struct Wrong;
    impl Elementwise for Wrong {
        fn entry<R: masked_loss::Real>(&self, x: &R, _: &R) -> R {
            x.detach() * x
        }
    }
    let labels = Labels::complete(&vector(&[0.0, 1.0])).unwrap();
    let report = gradcheck(&Wrong, &vector(&[0.25, 2.0]), &labels).unwrap();
    assert!(!report.passes(1e-3), "{report}");
    let worst = report.worst.unwrap();
    assert_eq!((worst.entry, worst.autograd), (1, 2.0));
    approx::assert_relative_eq!(worst.numeric, 4.0, max_relative = 1e-9);

    /// `x·y`, with a gradient of NaN where the label is 0.
    struct Undefined;
    impl Elementwise for Undefined {
        fn entry<R: masked_loss::Real>(&self, x: &R, y: &R) -> R {
            (x.clone() * y).ln().exp()
        }
    }
    let labels = Labels::complete(&vector(&[1.0, 0.0, 1.0])).unwrap();
    let report = gradcheck(&Undefined, &vector(&[0.25, 2.0, 3.0]), &labels).unwrap();
    assert!(!report.passes(f64::MAX), "{report}");
    let worst = report.worst.unwrap();
    assert_eq!((worst.entry, worst.autograd.is_nan(), worst.numeric), (1, true, 0.0));
}

#[test]
fn the_two_free_functions_are_the_original_technique() {
    let labels = vector(&[1.0, 0.0, 1.0, f64::NAN]).view([2, 2]);
    let mask = vector(&[1i64, 1, 0, 0]).view([2, 2]);
    let p = vector(&[0.8, 0.4, f64::NAN, 0.0]).view([2, 2]);
    let expected = -(0.8f64.ln() + 0.6f64.ln()) / 2.0;
    approx::assert_relative_eq!(
        f64::try_from(masked_bce(&p, &labels, &mask).unwrap()).unwrap(),
        expected,
        max_relative = 1e-15
    );
    let logits = p.special_logit(None);
    approx::assert_relative_eq!(
        f64::try_from(masked_bce_with_logits(&logits, &labels, &mask).unwrap()).unwrap(),
        expected,
        max_relative = 1e-15
    );
}

#[test]
fn smoothing_moves_labels_as_optax_does_with_twice_epsilon() {
    // optax: y(1 − α) + α/2.
    let (y, alpha) = (vector(&[1.0, 0.0, 0.3]), 0.2);
    let x = vector(&[0.7, -1.2, 2.0]);
    let smoothed = BceWithLogits::default().with_label_smoothing(alpha / 2.0);
    let ours = smoothed.forward(&x, &Labels::complete(&y).unwrap(), Reduction::None).unwrap();
    let theirs = x.binary_cross_entropy_with_logits(
        &(&y * (1.0 - alpha) + alpha / 2.0),
        None::<&Tensor>,
        None::<&Tensor>,
        tch::Reduction::None,
    );
    assert!(f64::try_from((ours - theirs).abs().max()).unwrap() < 1e-15);
}
