//! Every promise, over every loss, backend, reduction and dtype.

use crate::common::{
    Call, Case, REDUCTIONS, backends, combinations, device, here, losses, numbers, on_the_cpu, rng, tensor, uniform,
    value_and_gradient, vector,
};
use masked_loss::{Backend, BceWithLogits, Error, Labels, Loss, Reduction, Weights};
use tch::{Device, Kind, Tensor};

#[test]
fn a_missing_entry_has_no_loss_and_no_gradient_whatever_stands_there() {
    let mut rng = rng(1);
    for named in losses(7) {
        let clean = Case::draw(&mut rng, &named, &[5, 7], 0.5, false);
        let missing: Vec<bool> = clean.observed.iter().map(|observed| !observed).collect();
        for (backend, reduction, kind) in combinations() {
            let spoilt = |garbage| {
                let case = clean.spoilt(garbage);
                (case.input(kind), case.labels())
            };
            let call = Call::of(&named, backend, reduction);
            call.is_blind_to_what_is_missing(&clean.input(kind), &clean.labels(), &missing, spoilt);
        }
    }
}

#[test]
fn no_upstream_gradient_wakes_a_missing_entry() {
    let labels = Labels::from_nan(&vector(&[1.0, f64::NAN])).unwrap();
    for named in losses(2) {
        for (backend, reduction, kind) in combinations() {
            let input = vector(&[0.25, 0.5]).to_kind(kind);
            Call::of(&named, backend, reduction).stays_asleep(&input, &labels, &[false, true]);
        }
    }
}

#[test]
fn nothing_observed_gives_zero_with_the_graph_attached() {
    for size in [&[3i64, 4][..], &[0, 4], &[3, 0], &[0]] {
        let labels = Labels::from_nan(&Tensor::full(size, f64::NAN, here(Kind::Float))).unwrap();
        for named in losses(*size.last().unwrap() as usize) {
            for (backend, reduction, kind) in combinations() {
                let input = Tensor::full(size, f64::NAN, here(kind));
                Call::of(&named, backend, reduction).is_zero(&input, &labels);
            }
        }
    }
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let mut rng = rng(3);
    for named in losses(6) {
        let case = Case::draw(&mut rng, &named, &[64, 6], 0.3, true);
        let weights = vector(&uniform(&mut rng, 6, 0.1..3.0));
        let labels = case.labels().with_weights(Weights::PerLabel(&weights)).unwrap();
        for (backend, reduction) in backends().flat_map(|backend| REDUCTIONS.map(|by| (backend, by))) {
            if matches!(reduction, Reduction::None | Reduction::MeanPerLabel | Reduction::MeanOver(_)) {
                continue;
            }
            let cuts = [0..1, 1..5, 5..5, 5..40, 40..64];
            Call::of(&named, backend, reduction).adds_up(&case.input(Kind::Double), &labels, &cuts, 1e-13);
        }
    }
}

#[test]
fn weights_multiply_entries_rows_and_labels() {
    let mut rng = rng(4);
    for named in losses(3) {
        let case = Case::draw(&mut rng, &named, &[4, 3], 0.7, false);
        let entry = uniform(&mut rng, 12, 0.0..3.0);
        let (row, label) = ([1.0, 2.0, 0.0, 0.5], [3.0, 0.25, 1.0]);
        for backend in backends() {
            for kind in [Kind::Double, Kind::Float] {
                let plain = numbers(
                    &named.loss.forward_on(backend, &case.input(kind), &case.labels(), Reduction::None).unwrap(),
                );
                let weighted = |labels: Labels| {
                    value_and_gradient(&named, backend, &case.input(kind), &labels, Reduction::None, 1.0)
                };
                let check = |labels: Labels, weight: &dyn Fn(usize) -> f64| {
                    let (value, _) = weighted(labels);
                    for i in 0..12 {
                        approx::assert_relative_eq!(value[i], plain[i] * weight(i), max_relative = 3e-7);
                    }
                };
                let per_entry = || case.labels().with_weights(Weights::PerEntry(&tensor(&entry, &[4, 3]))).unwrap();
                check(per_entry(), &|i| entry[i]);
                let (row_tensor, label_tensor) = (vector(&row), vector(&label));
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
        for (backend, reduction, kind) in combinations() {
            let input = vector(&[f64::NAN, 0.5]).to_kind(kind);
            let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
            let (value, gradient) = value_and_gradient(&named, backend, &input, &labels, reduction, 1.0);
            assert!(value[0].is_nan(), "{}, {backend:?}, {reduction:?}, {kind:?}", named.name);
            assert!(gradient[0].is_nan(), "{}, {backend:?}, {reduction:?}, {kind:?}", named.name);
            assert!(gradient[1].is_finite(), "{}, {backend:?}, {reduction:?}, {kind:?}", named.name);
        }
        // In regression every number is a valid label.
        for backend in backends().filter(|_| named.label_range.end().is_finite()) {
            let labels = Labels::complete(&vector(&[0.0, named.label_range.end() + 0.5])).unwrap();
            let found = named.loss.forward_on(backend, &vector(&[0.5, 0.5]), &labels, Reduction::Sum);
            assert!(matches!(found, Err(Error::Range { argument: "labels", .. })), "{}: {found:?}", named.name);
        }
    }
}

#[test]
fn strides_and_ranks_make_no_difference() {
    let mut rng = rng(6);
    for named in losses(5) {
        let case = Case::draw(&mut rng, &named, &[2, 3, 4, 5], 0.6, false);
        let (input, labels) = (case.input(Kind::Float), case.labels());
        // The same numbers in another memory order.
        let strided = input.permute([3, 1, 2, 0]).contiguous().permute([3, 1, 2, 0]);
        assert!(!strided.is_contiguous());
        for backend in backends() {
            for reduction in REDUCTIONS {
                let expected = value_and_gradient(&named, backend, &input, &labels, reduction, 2.0);
                let found = value_and_gradient(&named, backend, &strided, &labels, reduction, 2.0);
                // A GPU adds numbers in the order of their addresses.
                if device() == Device::Cpu || reduction == Reduction::None {
                    assert_eq!(found, expected);
                }
                let numbers = |(value, gradient): (Vec<f64>, Vec<f64>)| [value, gradient].concat();
                for (found, expected) in numbers(found).into_iter().zip(numbers(expected)) {
                    approx::assert_relative_eq!(found, expected, max_relative = 1e-5);
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let bce = BceWithLogits::default();
    let labels = Labels::complete(&vector(&[1.0, 0.0]).view([1, 2])).unwrap();
    let message = |logits: &Tensor| bce.forward(logits, &labels, Reduction::Mean).unwrap_err().to_string();
    assert_eq!(message(&vector(&[0.5, 0.5])), "logits: expected shape [1, 2], found [2]");
    assert_eq!(message(&Tensor::zeros([3, 2], here(Kind::Float))), "logits: expected shape [1, 2], found [3, 2]");
    assert_eq!(
        message(&Tensor::zeros([1, 2], here(Kind::Int64))),
        "logits: expected f64, f32, f16 or bf16, found Int64"
    );
    assert_eq!(message(&Tensor::new()), "logits: expected a dense tensor of real numbers, found an undefined tensor");
    assert!(message(&Tensor::zeros([1, 2], here(Kind::Float)).to_sparse(None, None::<i64>, None)).contains("sparse"));
    let pos_weight = |w: Vec<f64>| {
        let bce = BceWithLogits::default().with_pos_weight(w);
        bce.forward(&Tensor::zeros([1, 2], here(Kind::Float)), &labels, Reduction::Mean).unwrap_err().to_string()
    };
    assert_eq!(pos_weight(vec![1.0]), "pos_weight: expected shape [2], found [1]");
    assert!(pos_weight(vec![1.0, f64::NAN]).ends_with("expected a finite number of at least 0.0, found NaN"));
}

#[test]
fn want_of_memory_is_an_error() {
    let one = Tensor::zeros([1], here(Kind::Float));
    let labels = Labels::complete(&Tensor::zeros([1], here(Kind::Float))).unwrap();
    let many = Tensor::zeros([1], here(Kind::Int64)).expand([1 << 46], false);
    assert!(matches!(labels.rows(&many), Err(Error::Torch(_))));
    assert!(matches!(Labels::complete(&one.expand([1 << 46], false)), Err(Error::Torch(_))));
}

#[test]
fn the_fused_backend_is_differentiable_once_and_says_so() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let logits = vector(&[0.3, -0.2]).set_requires_grad(true);
    let bce = BceWithLogits::default();
    let gradient = |backend| {
        let loss = bce.forward_on(backend, &logits, &labels, Reduction::Sum).unwrap();
        Tensor::run_backward(&[loss], &[&logits], true, true).remove(0)
    };
    // p(1 − p), the second derivative of binary cross entropy.
    let second =
        Tensor::run_backward(&[gradient(Backend::Composed).sum(Kind::Double)], &[&logits], false, false).remove(0);
    let p = logits.detach().sigmoid();
    assert!(f64::try_from((second - &p * (-&p + 1.0)).abs().max()).unwrap() < 1e-15);
    if !on_the_cpu("the fused backend's second derivative") {
        return;
    }
    let first = gradient(Backend::Fused);
    assert!(first.allclose(&gradient(Backend::Composed), 1e-15, 0.0, false));
    let error = Tensor::f_run_backward(&[first.sum(Kind::Double)], &[&logits], false, false).unwrap_err();
    assert!(error.to_string().contains("use Backend::Composed"), "{error}");
}

#[test]
fn a_graph_that_is_kept_serves_twice_and_one_that_is_not_says_so() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let logits = vector(&[0.3, -0.2]).set_requires_grad(true);
    for backend in backends() {
        let loss = BceWithLogits::default().forward_on(backend, &logits, &labels, Reduction::Sum).unwrap();
        let tripled = &loss * 3.0;
        let run = |loss: &Tensor, keep| Tensor::f_run_backward(&[loss], &[&logits], keep, false);
        let once = numbers(&run(&loss, true).unwrap()[0]);
        let thrice = numbers(&run(&tripled, true).unwrap()[0]);
        let tripled: Vec<f64> = once.iter().map(|g| g * 3.0).collect();
        match backend {
            Backend::Fused => assert_eq!(thrice, tripled),
            _ => (0..2).for_each(|i| approx::assert_relative_eq!(thrice[i], tripled[i], max_relative = 1e-15)),
        }
        assert_eq!(numbers(&run(&loss, false).unwrap()[0]), once);
        assert!(run(&loss, false).is_err());
    }
}

#[test]
fn no_graph_is_built_where_none_is_wanted() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let logits = vector(&[0.3, -0.2]).set_requires_grad(true);
    for backend in backends() {
        let bce = BceWithLogits::default();
        let forward = || bce.forward_on(backend, &logits, &labels, Reduction::Mean).unwrap();
        assert!(forward().requires_grad());
        let quiet = tch::no_grad(forward);
        assert!(!quiet.requires_grad());
        assert_eq!(numbers(&quiet), numbers(&forward()));
    }
}

#[test]
fn a_gradient_that_is_kept_is_not_overwritten() {
    if !on_the_cpu("buffers of the fused backend") {
        return;
    }
    // Large enough for a buffer that is reused.
    let logits = Tensor::zeros([700, 1000], here(Kind::Float)).set_requires_grad(true);
    let step = |label: f64| {
        let labels = Labels::complete(&Tensor::full([700, 1000], label, here(Kind::Float))).unwrap();
        let loss = BceWithLogits::default().forward_on(Backend::Fused, &logits, &labels, Reduction::Sum).unwrap();
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
