//! Every promise, over every loss, path, reduction and dtype.

use crate::common::{
    Case, GARBAGE, PATHS, REDUCTIONS, combinations, losses, losses_alike_for_all_labels, numbers, rng, tensor,
    value_and_gradient,
};
use masked_loss::{BceWithLogits, Error, Labels, Loss, Path, Reduction, Weights};
use rand::Rng;
use tch::{Kind, Tensor};

#[test]
fn a_missing_entry_has_no_loss_and_no_gradient_whatever_stands_there() {
    let mut rng = rng(1);
    for named in losses(7) {
        let clean = Case::draw(&mut rng, &named, &[5, 7], 0.5, false);
        for (path, reduction, kind) in combinations() {
            let input = clean.input(kind);
            let (value, gradient) = value_and_gradient(&named, path, &input, &clean.labels(), reduction, 0.5);
            for garbage in GARBAGE {
                let case = clean.spoilt(garbage);
                let what = format!("{}, {path:?}, {reduction:?}, {kind:?}, {garbage}", named.name);
                let found = value_and_gradient(&named, path, &case.input(kind), &case.labels(), reduction, 0.5);
                assert_eq!(found.0, value, "loss of {what}");
                assert_eq!(found.1, gradient, "gradient of {what}");
                for (entry, observed) in case.observed.iter().enumerate() {
                    if !observed {
                        assert_eq!(found.1[entry], 0.0, "gradient of {what}");
                        assert!(reduction != Reduction::None || found.0[entry] == 0.0, "loss of {what}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_upstream_gradient_wakes_a_missing_entry() {
    let labels = Labels::from_nan(&Tensor::from_slice(&[1.0, f64::NAN])).unwrap();
    for named in losses(2) {
        for path in PATHS {
            for reduction in REDUCTIONS {
                for upstream in [f64::NAN, f64::INFINITY] {
                    let input = Tensor::from_slice(&[0.25, 0.5]);
                    let (_, gradient) = value_and_gradient(&named, path, &input, &labels, reduction, upstream);
                    assert_eq!(gradient[1], 0.0, "{}, {path:?}, {reduction:?}", named.name);
                    assert!(!gradient[0].is_finite(), "{}, {path:?}, {reduction:?}", named.name);
                }
            }
        }
    }
}

#[test]
fn the_loss_is_that_of_the_observed_entries_taken_out() {
    let mut rng = rng(2);
    for draw in 0..1000 {
        let size = [rng.random_range(1..=200), rng.random_range(1..=200)];
        let share = rng.random_range(0.0..=1.0);
        // Taken out of its row, an entry has no label of its own to be weighted by.
        let losses = losses_alike_for_all_labels();
        // The original's own loss every time, the others in turn.
        for named in [&losses[0], &losses[1 + draw % (losses.len() - 1)]] {
            let case = Case::draw(&mut rng, named, &size, share, draw % 2 == 1);
            let taken = case.labels().observed().unwrap();
            let row = case.input(Kind::Double).masked_select(&taken);
            let row_labels = tensor(&case.label, &size).masked_select(&taken);
            for path in PATHS {
                let masked = named.loss.forward_on(path, &case.input(Kind::Double), &case.labels(), Reduction::Mean);
                let plain = named.loss.forward_on(path, &row, &Labels::complete(&row_labels).unwrap(), Reduction::Mean);
                let (masked, plain) = (masked.unwrap().double_value(&[]), plain.unwrap().double_value(&[]));
                approx::assert_relative_eq!(masked, plain, max_relative = 1e-13);
            }
        }
    }
}

#[test]
fn nothing_observed_gives_zero_with_the_graph_attached() {
    for size in [&[3i64, 4][..], &[0, 4], &[3, 0], &[0]] {
        for named in losses(*size.last().unwrap() as usize) {
            for (path, reduction, kind) in combinations() {
                let what = format!("{size:?}, {}, {path:?}, {reduction:?}, {kind:?}", named.name);
                let input = Tensor::full(size, f64::NAN, (kind, tch::Device::Cpu)).set_requires_grad(true);
                let labels = Labels::from_nan(&Tensor::full(size, f64::NAN, tch::kind::FLOAT_CPU)).unwrap();
                let loss = named.loss.forward_on(path, &input, &labels, reduction).unwrap();
                assert!(numbers(&loss).iter().all(|&loss| loss == 0.0), "{what}");
                loss.sum(loss.kind()).backward();
                assert!(input.grad().defined(), "{what}");
                assert!(numbers(&input.grad()).iter().all(|&gradient| gradient == 0.0), "{what}");
            }
        }
    }
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let mut rng = rng(3);
    for named in losses(6) {
        let case = Case::draw(&mut rng, &named, &[64, 6], 0.3, true);
        let weights: Vec<f64> = (0..6).map(|_| rng.random_range(0.1..3.0)).collect();
        let labels = case.labels().with_weights(Weights::PerLabel(&Tensor::from_slice(&weights))).unwrap();
        let input = case.input(Kind::Double);
        for (path, reduction) in PATHS.into_iter().flat_map(|path| REDUCTIONS.map(|by| (path, by))) {
            if matches!(reduction, Reduction::None | Reduction::MeanPerLabel | Reduction::MeanOver(_)) {
                continue;
            }
            let whole = named.loss.forward_on(path, &input, &labels, reduction).unwrap().double_value(&[]);
            let (mut sum, mut weight) = (0.0, 0.0);
            for cut in [0..1, 1..5, 5..5, 5..40, 40..64] {
                let rows = Tensor::arange_start(cut.start, cut.end, tch::kind::INT64_CPU);
                let (logits, labels) = (input.index_select(0, &rows), labels.rows(&rows).unwrap());
                let (s, w) = named.loss.sum_and_weight(&logits, &labels, reduction).unwrap();
                sum += s.double_value(&[]);
                weight += w.double_value(&[]);
            }
            let weight = if reduction == Reduction::Sum { 1.0 } else { weight };
            approx::assert_relative_eq!(sum / weight, whole, max_relative = 1e-13);
        }
    }
}

#[test]
fn weights_multiply_entries_rows_and_labels() {
    let mut rng = rng(4);
    for named in losses(3) {
        let case = Case::draw(&mut rng, &named, &[4, 3], 0.7, false);
        let entry: Vec<f64> = (0..12).map(|_| rng.random_range(0.0..3.0)).collect();
        let (row, label) = ([1.0, 2.0, 0.0, 0.5], [3.0, 0.25, 1.0]);
        for path in PATHS {
            for kind in [Kind::Double, Kind::Float] {
                let plain =
                    numbers(&named.loss.forward_on(path, &case.input(kind), &case.labels(), Reduction::None).unwrap());
                let weighted =
                    |labels: Labels| value_and_gradient(&named, path, &case.input(kind), &labels, Reduction::None, 1.0);
                let check = |labels: Labels, weight: &dyn Fn(usize) -> f64| {
                    let (value, _) = weighted(labels);
                    for i in 0..12 {
                        approx::assert_relative_eq!(value[i], plain[i] * weight(i), max_relative = 3e-7);
                    }
                };
                let per_entry = || case.labels().with_weights(Weights::PerEntry(&tensor(&entry, &[4, 3]))).unwrap();
                check(per_entry(), &|i| entry[i]);
                let (row_tensor, label_tensor) = (Tensor::from_slice(&row), Tensor::from_slice(&label));
                check(case.labels().with_weights(Weights::PerRow(&row_tensor)).unwrap(), &|i| row[i / 3]);
                check(case.labels().with_weights(Weights::PerLabel(&label_tensor)).unwrap(), &|i| label[i % 3]);
                let all = per_entry().with_weights(Weights::PerRow(&row_tensor)).unwrap();
                let all = all.with_weights(Weights::PerLabel(&label_tensor)).unwrap();
                check(all, &|i| entry[i] * row[i / 3] * label[i % 3]);
            }
        }
    }
}

#[test]
fn an_observed_nan_shows_and_a_label_out_of_range_is_an_error() {
    for named in losses(2) {
        for (path, reduction, kind) in combinations() {
            let input = Tensor::from_slice(&[f64::NAN, 0.5]).to_kind(kind);
            let labels = Labels::complete(&Tensor::from_slice(&[1.0, 0.0])).unwrap();
            let (value, gradient) = value_and_gradient(&named, path, &input, &labels, reduction, 1.0);
            assert!(value[0].is_nan(), "{}, {path:?}, {reduction:?}, {kind:?}", named.name);
            assert!(gradient[0].is_nan(), "{}, {path:?}, {reduction:?}, {kind:?}", named.name);
            assert!(gradient[1].is_finite(), "{}, {path:?}, {reduction:?}, {kind:?}", named.name);
        }
        // Of regression every number is a label.
        for path in PATHS.into_iter().filter(|_| named.labels.end().is_finite()) {
            let labels = Labels::complete(&Tensor::from_slice(&[0.0, named.labels.end() + 0.5])).unwrap();
            let found = named.loss.forward_on(path, &Tensor::from_slice(&[0.5, 0.5]), &labels, Reduction::Sum);
            assert!(matches!(found, Err(Error::Range { tensor: "labels", .. })), "{}: {found:?}", named.name);
        }
    }
}

#[test]
fn strides_and_ranks_make_no_difference() {
    let mut rng = rng(6);
    for named in losses(5) {
        let case = Case::draw(&mut rng, &named, &[2, 3, 4, 5], 0.6, false);
        let (input, labels) = (case.input(Kind::Float), case.labels());
        // The same numbers, lying in memory in another order.
        let strided = input.permute([3, 1, 2, 0]).contiguous().permute([3, 1, 2, 0]);
        assert!(!strided.is_contiguous());
        for path in PATHS {
            for reduction in REDUCTIONS {
                let expected = value_and_gradient(&named, path, &input, &labels, reduction, 2.0);
                assert_eq!(value_and_gradient(&named, path, &strided, &labels, reduction, 2.0), expected);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let bce = BceWithLogits::default();
    let labels = Labels::complete(&Tensor::from_slice(&[1.0, 0.0]).view([1, 2])).unwrap();
    let message = |logits: &Tensor| bce.forward(logits, &labels, Reduction::Mean).unwrap_err().to_string();
    assert_eq!(message(&Tensor::from_slice(&[0.5, 0.5])), "logits: expected shape [1, 2], found [2]");
    assert_eq!(message(&Tensor::zeros([3, 2], tch::kind::FLOAT_CPU)), "logits: expected shape [1, 2], found [3, 2]");
    assert_eq!(
        message(&Tensor::zeros([1, 2], tch::kind::INT64_CPU)),
        "logits: expected f64, f32, f16 or bf16, found Int64"
    );
    assert_eq!(message(&Tensor::new()), "logits: expected a dense tensor of real numbers, found an undefined tensor");
    assert!(
        message(&Tensor::zeros([1, 2], tch::kind::FLOAT_CPU).to_sparse(None, None::<i64>, None)).contains("sparse")
    );
    let pos_weight = |w: Vec<f64>| {
        let bce = BceWithLogits { pos_weight: Some(w), ..Default::default() };
        bce.forward(&Tensor::zeros([1, 2], tch::kind::FLOAT_CPU), &labels, Reduction::Mean).unwrap_err().to_string()
    };
    assert_eq!(pos_weight(vec![1.0]), "the loss's per-label parameter: expected shape [2], found [1]");
    assert!(pos_weight(vec![1.0, f64::NAN]).ends_with("expected finite numbers, found NaN"));
}

#[test]
fn want_of_memory_is_an_error() {
    let one = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu));
    let labels = Labels::complete(&Tensor::zeros([1], (Kind::Float, tch::Device::Cpu))).unwrap();
    let many = Tensor::zeros([1], tch::kind::INT64_CPU).expand([1 << 46], false);
    assert!(matches!(labels.rows(&many), Err(Error::Torch(_))));
    assert!(matches!(Labels::complete(&one.expand([1 << 46], false)), Err(Error::Torch(_))));
}

#[test]
fn the_fused_path_is_differentiable_once_and_says_so() {
    let labels = Labels::complete(&Tensor::from_slice(&[1.0, 0.0])).unwrap();
    let logits = Tensor::from_slice(&[0.3, -0.2]).set_requires_grad(true);
    let bce = BceWithLogits::default();
    let gradient = |path| {
        let loss = bce.forward_on(path, &logits, &labels, Reduction::Sum).unwrap();
        Tensor::run_backward(&[loss], &[&logits], true, true).remove(0)
    };
    // p(1 − p), the second derivative of binary cross entropy.
    let second =
        Tensor::run_backward(&[gradient(Path::Composed).sum(Kind::Double)], &[&logits], false, false).remove(0);
    let p = logits.detach().sigmoid();
    assert!(f64::try_from((second - &p * (-&p + 1.0)).abs().max()).unwrap() < 1e-15);
    let first = gradient(Path::Fused);
    assert!(first.allclose(&gradient(Path::Composed), 1e-15, 0.0, false));
    let error = Tensor::f_run_backward(&[first.sum(Kind::Double)], &[&logits], false, false).unwrap_err();
    assert!(error.to_string().contains("use Path::Composed"), "{error}");
}

#[test]
fn a_graph_that_is_kept_serves_twice_and_one_that_is_not_says_so() {
    let labels = Labels::complete(&Tensor::from_slice(&[1.0, 0.0])).unwrap();
    let logits = Tensor::from_slice(&[0.3, -0.2]).set_requires_grad(true);
    let loss = BceWithLogits::default().forward_on(Path::Fused, &logits, &labels, Reduction::Sum).unwrap();
    let tripled = &loss * 3.0;
    let run = |loss: &Tensor, keep| Tensor::f_run_backward(&[loss], &[&logits], keep, false);
    let once = numbers(&run(&loss, true).unwrap()[0]);
    let thrice = numbers(&run(&tripled, true).unwrap()[0]);
    assert_eq!(thrice, once.iter().map(|g| g * 3.0).collect::<Vec<_>>());
    assert_eq!(numbers(&run(&loss, false).unwrap()[0]), once);
    assert!(run(&loss, false).is_err());
}

#[test]
fn no_graph_is_built_where_none_is_wanted() {
    let labels = Labels::complete(&Tensor::from_slice(&[1.0, 0.0])).unwrap();
    let logits = Tensor::from_slice(&[0.3, -0.2]).set_requires_grad(true);
    for path in PATHS {
        let bce = BceWithLogits::default();
        let forward = || bce.forward_on(path, &logits, &labels, Reduction::Mean).unwrap();
        assert!(forward().requires_grad());
        let quiet = tch::no_grad(forward);
        assert!(!quiet.requires_grad());
        assert_eq!(numbers(&quiet), numbers(&forward()));
    }
}

#[test]
fn a_gradient_that_is_kept_is_not_overwritten() {
    // Large enough for a buffer that is lent again.
    let logits = Tensor::zeros([700, 1000], tch::kind::FLOAT_CPU).set_requires_grad(true);
    let step = |label: f64| {
        let labels = Labels::complete(&Tensor::full([700, 1000], label, tch::kind::FLOAT_CPU)).unwrap();
        let loss = BceWithLogits::default().forward_on(Path::Fused, &logits, &labels, Reduction::Sum).unwrap();
        Tensor::run_backward(&[loss], &[&logits], false, false).remove(0)
    };
    let (first, view) = (step(1.0), step(1.0).get(0).detach());
    drop(step(0.0));
    masked_loss::release_buffers();
    let kept: Vec<Tensor> = (0..4).map(|_| step(0.0)).collect();
    assert!(bool::try_from(first.eq(-0.5).all()).unwrap());
    assert!(bool::try_from(view.eq(-0.5).all()).unwrap());
    assert!(kept.iter().all(|gradient| bool::try_from(gradient.eq(0.5).all()).unwrap()));
}
