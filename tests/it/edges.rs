//! Numbers exactly on a boundary, counts and weights after a change of the labels, and calls that few programs make.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::{backends, backward, here, numbers, on_the_cpu, tensor, vector};
use masked_loss::{
    AbsoluteError, Backend, BceProbabilities, BceWithLogits, ClassSelective, Correction, Elementwise, Error, Labels,
    LargeLoss, Loss, Missing, NonNegativePu, PartialBce, Propensity, Real, Reduction, SelfPaced, Weights,
};
use tch::{Kind, Tensor};

const NAN: f64 = f64::NAN;

fn labels(cells: &[f64], size: &[i64]) -> Labels {
    Labels::from_nan(&tensor(cells, size)).unwrap()
}

/// The weighted losses of these labels with all logits 0, over ln 2; missing entries count as negative.
fn weights(labels: &Labels) -> Vec<f64> {
    let zero = Tensor::zeros(labels.size(), here(Kind::Double));
    let entries = BceWithLogits::default().with_missing(Missing::Negative);
    let found = numbers(&entries.forward(&zero, labels, Reduction::None).unwrap());
    found.into_iter().map(|loss| loss / 2f64.ln()).collect()
}

#[test]
fn what_is_exactly_at_a_threshold_is_not_above_it() {
    // σ(0) is ½.
    let policy = SelfPaced::default().with_threshold(0.5);
    let relabelled = policy.relabel(&vector(&[0.0, 1e-6]), &labels(&[NAN, NAN], &[2]), 2).unwrap();
    assert_eq!(numbers(&relabelled.observed().unwrap()), [0.0, 1.0]);

    let policy = ClassSelective::default().with_prior(0.25).with_per_row(0);
    let priors = vector(&[0.25, 0.25f64.next_up()]);
    let kept = policy.relabel(&vector(&[0.0, 0.0]).view([1, 2]), &labels(&[NAN, NAN], &[1, 2]), &priors).unwrap();
    assert_eq!(weights(&kept), [1.0, 0.0]);

    // ⌈4 · ½⌉ entries and no more.
    let policy = LargeLoss::default().with_step(0.5).with_correction(Correction::Flip);
    let flipped = policy.relabel(&vector(&[1.0, 2.0, 3.0, 4.0]), &labels(&[NAN; 4], &[4]), 2).unwrap();
    assert_eq!(numbers(&flipped.observed().unwrap()), [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn a_risk_exactly_at_its_bound_is_not_bounded() {
    // R⁻ = 0 − π·½ = −¼ = −β: slopes of R⁺ + R⁻, which are −2π/4 for the positive.
    let positive = labels(&[1.0, NAN], &[2, 1]);
    let logits = tensor(&[0.0, f64::NEG_INFINITY], &[2, 1]);
    for (beta, slope) in [(0.25, -0.25), (0.25f64.next_down(), 0.125)] {
        let loss = NonNegativePu::new(vec![0.5]).with_beta(beta);
        let (_, gradient) = backward(&logits, 1.0, |x| loss.forward(x, &positive, Reduction::Sum).unwrap());
        assert_eq!(gradient[0], slope, "β {beta}");
    }
}

#[test]
fn counts_and_ranges_are_those_of_the_new_labels() {
    let table = labels(&[0.0, NAN, NAN, 0.0], &[4]);
    let logits = vector(&[0.0, 9.0, 0.0, 0.0]);
    // Counted before.
    let mean = |labels: &Labels| BceWithLogits::default().forward(&logits, labels, Reduction::Mean).unwrap();
    approx::assert_relative_eq!(mean(&table).double_value(&[]), 2f64.ln(), max_relative = 1e-15);
    let relabelled = SelfPaced::default().relabel(&logits, &table, 2).unwrap();
    let expected = (2.0 * 2f64.ln() + (-9f64).exp().ln_1p()) / 3.0;
    approx::assert_relative_eq!(mean(&relabelled).double_value(&[]), expected, max_relative = 1e-15);
    assert_eq!(numbers(&relabelled.observed_count().unwrap()), [3.0]);

    /// Accepts no positive.
    struct Negatives;
    impl Elementwise for Negatives {
        fn entry<R: Real>(&self, x: &R, _: &R) -> R {
            x.clone()
        }
        fn label_range(&self) -> std::ops::RangeInclusive<f64> {
            0.0..=0.0
        }
    }
    let error = Negatives.forward(&logits, &relabelled, Reduction::Sum);
    assert!(Negatives.forward(&logits, &table, Reduction::Sum).is_ok());
    assert!(matches!(error, Err(Error::Range { argument: "labels", found: 1.0, .. })), "{error:?}");
}

#[test]
fn new_labels_keep_their_weights_and_what_is_observed() {
    let table = labels(&[1.0, NAN, 0.0, NAN], &[2, 2]).with_weights(Weights::PerRow(&vector(&[2.0, 3.0]))).unwrap();
    let imputed = table.imputed(&vector(&[0.5, 0.5])).unwrap();
    assert_eq!(weights(&imputed), [2.0, 2.0, 3.0, 3.0]);
    let mean =
        BceWithLogits::default().forward(&Tensor::zeros([2, 2], here(Kind::Double)), &imputed, Reduction::WeightedMean);
    approx::assert_relative_eq!(mean.unwrap().double_value(&[]), 2f64.ln(), max_relative = 1e-15);

    let logits = tensor(&[9.0, 9.0, 9.0, -9.0], &[2, 2]);
    let positives = SelfPaced::default().relabel(&logits, &table, 2).unwrap();
    assert_eq!(weights(&positives), [2.0, 2.0, 3.0, 3.0]);
    // Every prior is above the threshold: what is missing is dropped, and nothing else.
    let selected = ClassSelective::default().relabel(&logits, &table, &vector(&[0.9, 0.9])).unwrap();
    assert_eq!(weights(&selected), [2.0, 0.0, 3.0, 0.0]);
}

#[test]
fn integer_labels_are_not_rounded_to_f32() {
    let large = (1i64 << 24) + 1;
    for backend in backends() {
        let labels = Labels::complete(&vector(&[large, 0])).unwrap();
        let logits = Tensor::zeros([2], here(Kind::Double));
        let found = AbsoluteError.forward_on(backend, &logits, &labels, Reduction::None).unwrap();
        assert_eq!(numbers(&found), [large as f64, 0.0], "{backend:?}");
    }
}

#[test]
fn a_mean_is_finite_though_its_sum_is_beyond_f32() {
    if !on_the_cpu("the fused backend") {
        return;
    }
    for reduction in [Reduction::Mean, Reduction::MeanAll, Reduction::MeanPerRow, Reduction::MeanPerLabel] {
        let logits = Tensor::full([4, 4], 3e38, here(Kind::Float));
        let labels = Labels::complete(&Tensor::zeros([4, 4], here(Kind::Float))).unwrap();
        let found = AbsoluteError.forward_on(Backend::Fused, &logits, &labels, reduction).unwrap();
        approx::assert_relative_eq!(numbers(&found)[0], 3e38, max_relative = 1e-6);
    }
}

#[test]
fn a_pending_sign_of_any_argument_is_read() {
    let negated = |numbers: &Tensor| (-numbers).internal_neg_view();
    let (x, y) = (tensor(&[0.5, -1.0, 2.0, 3.0], &[2, 2]), tensor(&[1.0, 0.0, NAN, 1.0], &[2, 2]));
    let (w, upstream) = (tensor(&[0.5, 2.0, 1.0, 4.0], &[2, 2]), tensor(&[1.0, -2.0, 3.0, 0.25], &[2, 2]));
    for kind in [Kind::Double, Kind::Float, Kind::BFloat16] {
        let other = if kind == Kind::Double { kind } else { Kind::Float };
        let [x, y, w, upstream] =
            [(&x, kind), (&y, other), (&w, other), (&upstream, other)].map(|(numbers, kind)| numbers.to_kind(kind));
        for backend in backends() {
            let run = |view: &dyn Fn(&Tensor) -> Tensor| {
                let leaf = view(&x).set_requires_grad(true);
                let labels = Labels::from_nan(&view(&y)).unwrap().with_weights(Weights::PerEntry(&view(&w))).unwrap();
                let loss = BceWithLogits::default().forward_on(backend, &leaf, &labels, Reduction::None).unwrap();
                let sum = (&loss * view(&upstream)).sum(Kind::Double);
                let gradient = Tensor::run_backward(&[sum], &[&leaf], false, false).swap_remove(0);
                [numbers(&loss), numbers(&gradient)]
            };
            assert_eq!(run(&negated), run(&|numbers| numbers.copy()), "{backend:?}, {kind:?}");
        }
    }
}

#[test]
fn tables_of_rank_3_are_those_of_their_rows() {
    let cells: Vec<f64> = (0..12).map(|i| [1.0, 0.0, NAN, 1.0, 1.0][i % 5]).collect();
    let (deep, flat) = (labels(&cells, &[2, 2, 3]), labels(&cells, &[4, 3]));
    let of = |labels: &Labels| labels.inverse_propensity(Propensity::default()).unwrap();
    let counts: Vec<f64> = (0..3).map(|c| (0..4).filter(|r| cells[3 * r + c] == 1.0).count() as f64).collect();
    let (a, b): (f64, f64) = (0.55, 1.5);
    for (found, count) in of(&deep).into_iter().zip(&counts) {
        let k = (4f64.ln() - 1.0) * (b + 1.0).powf(a);
        approx::assert_relative_eq!(found, 1.0 + k * (count + b).powf(-a), max_relative = 1e-14);
    }
    assert_eq!(of(&deep), of(&flat));

    // A row is an entry of the first dimension here: six entries.
    let weighted = deep.with_partial_bce_weights(PartialBce::default()).unwrap();
    let found = numbers(
        &BceWithLogits::default()
            .forward(&Tensor::zeros([2, 2, 3], here(Kind::Double)), &weighted, Reduction::None)
            .unwrap(),
    );
    for (i, loss) in found.into_iter().enumerate() {
        let row = &cells[i / 6 * 6..][..6];
        let share = row.iter().filter(|cell| !cell.is_nan()).count() as f64 / 6.0;
        // Weights are stored as `f32`.
        let weight = f64::from((5.45 - 4.45 * share) as f32);
        let expected = if cells[i].is_nan() { 0.0 } else { weight * 2f64.ln() };
        approx::assert_relative_eq!(loss, expected, max_relative = 1e-14);
    }
}

/// Panics where the kernel computes it, not where it is traced or validated.
struct Panics;

impl Elementwise for Panics {
    fn entry<R: Real>(&self, x: &R, _: &R) -> R {
        assert!(!format!("{x:?}").contains("77777"), "the formula panics");
        x.clone()
    }
}

#[test]
fn a_formula_that_panics_panics_out_of_the_call() {
    if !on_the_cpu("the threads of the fused backend") {
        return;
    }
    // Enough entries for several threads.
    let logits = Tensor::zeros([300_000], here(Kind::Float));
    let labels = Labels::complete(&Tensor::zeros([300_000], here(Kind::Float))).unwrap();
    let of = |logits: &Tensor| Panics.forward_on(Backend::Fused, logits, &labels, Reduction::Sum);
    assert!(of(&logits).is_ok());
    let _ = logits.get(299_999).fill_(77777.0);
    let panic = catch_unwind(AssertUnwindSafe(|| of(&logits))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().is_some_and(|said| said.contains("the formula panics")));
    // And what follows is not affected.
    let _ = logits.get(299_999).fill_(1.0);
    assert_eq!(numbers(&of(&logits).unwrap()), [1.0]);
}

#[test]
fn a_kept_graph_gives_the_same_gradient_whatever_is_done_to_the_first() {
    for backend in backends() {
        for upstream in [1.0, 3.0] {
            let leaf = vector(&[0.0, 0.0]).set_requires_grad(true);
            let loss = BceWithLogits::default().forward_on(backend, &leaf, &labels(&[1.0, NAN], &[2]), Reduction::Sum);
            let loss = loss.unwrap() * upstream;
            for _ in 0..3 {
                let mut gradient = Tensor::run_backward(&[&loss], &[&leaf], true, false).swap_remove(0);
                assert_eq!(numbers(&gradient), [-0.5 * upstream, 0.0], "{backend:?}");
                let _ = gradient.fill_(7.0);
            }
        }
    }
}

#[test]
fn probabilities_are_checked_where_a_policy_counts_them() {
    let input = vector(&[0.5, 1.5]);
    for backend in backends() {
        let of = |missing| {
            let loss = BceProbabilities.with_missing(missing);
            loss.forward_on(backend, &input, &labels(&[1.0, NAN], &[2]), Reduction::Sum)
        };
        assert!(of(Missing::Ignore).is_ok(), "{backend:?}");
        let error = of(Missing::Negative).unwrap_err();
        assert!(matches!(error, Error::Range { argument: "probabilities", found: 1.5, .. }), "{backend:?}: {error}");
    }
}

/// `ln x / x − y`, which has neither value nor slope at 0.
struct Singular;

impl Elementwise for Singular {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        x.ln() / x - y
    }
}

#[test]
fn a_formula_that_is_singular_at_0_is_not_evaluated_at_missing_zeros() {
    // Missing entries hold 0, as do the vectors' lanes that no entry fills.
    let labels = labels(&[NAN, 0.0, NAN, 1.0, NAN], &[5]);
    for backend in backends() {
        for kind in [Kind::Double, Kind::Float] {
            let input = vector(&[0.0, 1.0, 0.0, 1.0, 0.0]).to_kind(kind);
            let (value, gradient) =
                backward(&input, 1.0, |x| Singular.forward_on(backend, x, &labels, Reduction::Sum).unwrap());
            // ln x / x has the slope (1 − ln x) / x², 1 at x = 1.
            assert_eq!((value, gradient), (vec![-1.0], vec![0.0, 1.0, 0.0, 1.0, 0.0]), "{backend:?}, {kind:?}");
        }
    }
}
