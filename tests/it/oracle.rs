//! Agreement: the paths with the formula over `Dual<f64>`, and with PyTorch's own functions where it has one.

use crate::common::{Case, PATHS, losses, numbers, rng, tensor, value_and_gradient};
use masked_loss::{
    BceProbabilities, BceWithLogits, Dual, Elementwise, Labels, Loss, Named, Path, Reduction, gradcheck, masked_bce,
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

/// The distance in units of `kind`'s last place; below the normal numbers, of the last place there.
fn ulps(found: f64, exact: f64, kind: Kind) -> f64 {
    let (epsilon, smallest) = if kind == Kind::Double {
        (f64::EPSILON, f64::MIN_POSITIVE)
    } else {
        (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE))
    };
    if found == exact { 0.0 } else { (found - exact).abs() / (epsilon * exact.abs().max(smallest)) }
}

#[test]
fn both_paths_agree_with_the_dual_oracle_to_the_last_places() {
    let x = logits();
    for (kind, path, limit) in [
        (Kind::Double, Path::Composed, 8.0),
        (Kind::Double, Path::Fused, 8.0),
        (Kind::Float, Path::Composed, 8.0),
        (Kind::Float, Path::Fused, 6.0),
    ] {
        for y in [0.0, 1.0] {
            let labels = Labels::complete(&Tensor::full([x.len() as i64], y, tch::kind::DOUBLE_CPU)).unwrap();
            let input = Tensor::from_slice(&x).to_kind(kind);
            let bce = Named::new("bce", BceWithLogits::default());
            let (value, gradient) = value_and_gradient(&bce, path, &input, &labels, Reduction::None, 1.0);
            // As the dtype holds them.
            for (i, x) in numbers(&input).into_iter().enumerate() {
                let exact = BceWithLogits::default().entry(&Dual::variable(x), &Dual::fixed(y));
                let rounded = |v: f64| if kind == Kind::Float { f64::from(v as f32) } else { v };
                let (dv, dg) =
                    (ulps(value[i], rounded(exact.value), kind), ulps(gradient[i], rounded(exact.derivative), kind));
                assert!(dv <= limit, "{path:?} {kind:?} x {x} y {y}: {} against {}, {dv} ULP", value[i], exact.value);
                assert!(
                    dg <= limit,
                    "{path:?} {kind:?} x {x} y {y}: {} against {}, {dg} ULP",
                    gradient[i],
                    exact.derivative
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
            let weight = pos_weight.as_ref().map(|w| Tensor::from_slice(w));
            let bce = Named::new("bce", BceWithLogits { pos_weight, ..Default::default() });
            // Beyond ±1e4 PyTorch's own formula loses the small term; that is the oracle's limit here.
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
            for path in PATHS {
                let (value, gradient) = value_and_gradient(&bce, path, &logits, &labels, Reduction::None, 1.0);
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
        let labels = Tensor::full([p.len() as i64], y, tch::kind::DOUBLE_CPU);
        let leaf = Tensor::from_slice(&p).set_requires_grad(true);
        let theirs = leaf.binary_cross_entropy(&labels, None::<&Tensor>, tch::Reduction::None);
        theirs.sum(Kind::Double).backward();
        let named = Named::new("bce-probabilities", BceProbabilities);
        for path in PATHS {
            let labels = Labels::complete(&labels).unwrap();
            let (value, gradient) = value_and_gradient(&named, path, &leaf, &labels, Reduction::None, 1.0);
            for i in 0..p.len() {
                approx::assert_relative_eq!(value[i], numbers(&theirs)[i], max_relative = 1e-14);
                // PyTorch rounds 1 − p before it multiplies; near 1 that alone is 1e-16 of 1e-11.
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
            // Away from the edges of what it accepts.
            if named.inputs.end().is_finite() {
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
    /// Right in value; `detach` cuts half of its gradient off.
    struct Wrong;
    impl Elementwise for Wrong {
        fn entry<R: masked_loss::Real>(&self, x: &R, _: &R) -> R {
            x.detach() * x
        }
    }
    let labels = Labels::complete(&Tensor::from_slice(&[0.0, 1.0])).unwrap();
    let report = gradcheck(&Wrong, &Tensor::from_slice(&[0.25, 2.0]), &labels).unwrap();
    assert!(!report.passes(1e-3), "{report}");
    let worst = report.worst.unwrap();
    assert_eq!((worst.entry, worst.autograd), (1, 2.0));
    approx::assert_relative_eq!(worst.numeric, 4.0, max_relative = 1e-9);
}

#[test]
fn the_two_free_functions_are_the_original_technique() {
    let labels = Tensor::from_slice(&[1.0, 0.0, 1.0, f64::NAN]).view([2, 2]);
    let mask = Tensor::from_slice(&[1i64, 1, 0, 0]).view([2, 2]);
    let p = Tensor::from_slice(&[0.8, 0.4, f64::NAN, 0.0]).view([2, 2]);
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
    let (y, alpha) = (Tensor::from_slice(&[1.0, 0.0, 0.3]), 0.2);
    let x = Tensor::from_slice(&[0.7, -1.2, 2.0]);
    let smoothed = BceWithLogits { label_smoothing: alpha / 2.0, ..Default::default() };
    let ours = smoothed.forward(&x, &Labels::complete(&y).unwrap(), Reduction::None).unwrap();
    let theirs = x.binary_cross_entropy_with_logits(
        &(&y * (1.0 - alpha) + alpha / 2.0),
        None::<&Tensor>,
        None::<&Tensor>,
        tch::Reduction::None,
    );
    assert!(f64::try_from((ours - theirs).abs().max()).unwrap() < 1e-15);
}
