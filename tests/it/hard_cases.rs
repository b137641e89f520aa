//! Cases that were wrong once, or easily could be.

use std::sync::Barrier;

use crate::common::{Case, backends, here, numbers, on_the_cpu, rng, tensor, value_and_gradient, vector};
use masked_loss::{
    Asymmetric, Backend, BceWithLogits, Error, Hill, Huber, Labels, Loss, Named, Reduction, SigmoidFocal, UnbiasedBce,
    Weights,
};
use tch::{Kind, Tensor};

fn bce() -> Named {
    Named::new("bce", BceWithLogits::default())
}

/// One observed positive, one missing label.
fn half_observed() -> Labels {
    Labels::from_nan(&vector(&[1.0, f64::NAN])).unwrap()
}

#[test]
fn two_threads_through_one_graph_get_the_gradient_or_an_error() {
    if !on_the_cpu("threads through a graph of the fused backend") {
        return;
    }
    let labels = Labels::complete(&Tensor::zeros([64, 1024], here(Kind::Float))).unwrap();
    for _ in 0..50 {
        let logits = Tensor::zeros([64, 1024], here(Kind::Float)).set_requires_grad(true);
        let loss = BceWithLogits::default().forward_on(Backend::Fused, &logits, &labels, Reduction::Sum).unwrap();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for (loss, logits) in [0, 1].map(|_| (loss.shallow_clone(), logits.shallow_clone())) {
                let barrier = &barrier;
                scope.spawn(move || {
                    let doubled = &loss * 2.0;
                    barrier.wait();
                    if let Ok(gradient) = Tensor::f_run_backward(&[doubled], &[&logits], false, false) {
                        assert!(bool::try_from(gradient[0].eq(1.0).all()).unwrap());
                    }
                });
            }
        });
    }
}

#[test]
fn a_gradient_too_large_for_the_caches_is_that_of_its_halves() {
    if !on_the_cpu("caches of the fused backend") {
        return;
    }
    // A gradient of 35 MB, and last blocks that are not whole vectors.
    let case = Case::draw(&mut rng(81), &bce(), &[2 * 1099, 4001], 0.3, false);
    let (logits, labels) = (case.input(Kind::Float), case.raw().to_kind(Kind::Float));
    let gradient = |part: i64, of: i64| {
        let [logits, labels] = [&logits, &labels].map(|whole| whole.chunk(of, 0).swap_remove(part as usize));
        let labels = Labels::from_nan(&labels).unwrap();
        value_and_gradient(&bce(), Backend::Fused, &logits, &labels, Reduction::Sum, 1.0).1
    };
    let halves = [gradient(0, 2), gradient(1, 2)].concat();
    assert!(halves.iter().filter(|&&number| number != 0.0).count() > 2_000_000);
    assert!(gradient(0, 1) == halves);
}

#[test]
fn a_thread_may_compute_while_it_ends() {
    if !on_the_cpu("buffers of a thread that ends") {
        return;
    }
    fn step() {
        let labels = Labels::complete(&Tensor::zeros([1024, 1024], here(Kind::Float))).unwrap();
        let logits = Tensor::zeros([1024, 1024], here(Kind::Float)).set_requires_grad(true);
        // No backward: libtorch's own engine no longer works at this point.
        drop(BceWithLogits::default().forward_on(Backend::Fused, &logits, &labels, Reduction::Sum).unwrap());
        masked_loss::release_buffers();
    }
    struct AtTheEnd;
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            step();
        }
    }
    thread_local!(static LAST: AtTheEnd = const { AtTheEnd });
    std::thread::spawn(|| {
        LAST.with(|_| ());
        step();
    })
    .join()
    .unwrap();
}

#[test]
fn half_precision_is_scaled_before_it_is_narrowed() {
    for backend in backends() {
        // 65536, where loss scaling often starts, is beyond f16.
        let logits = Tensor::zeros([2], here(Kind::Half));
        let (_, gradient) = value_and_gradient(&bce(), backend, &logits, &half_observed(), Reduction::Mean, 65536.0);
        assert_eq!(gradient, [-32768.0, 0.0], "{backend:?}");
        // Half a millionth of a half is too small for f16; scaled up it is not.
        let logits = Tensor::zeros([1 << 20], here(Kind::Half));
        let labels = Labels::complete(&Tensor::zeros([1 << 20], here(Kind::Half))).unwrap();
        let (_, gradient) = value_and_gradient(&bce(), backend, &logits, &labels, Reduction::Mean, 1024.0);
        approx::assert_relative_eq!(gradient[0], 0.5 / 1024.0, max_relative = 1e-3);
    }
}

#[test]
fn row_weights_stay_with_their_rows_where_there_is_one_label() {
    let labels = Labels::complete(&Tensor::zeros([2, 3, 1], here(Kind::Float))).unwrap();
    let labels = labels.with_weights(Weights::PerRow(&vector(&[1f32, 10.0]))).unwrap();
    for backend in backends() {
        let logits = Tensor::zeros([2, 3, 1], here(Kind::Float));
        let (_, gradient) = value_and_gradient(&bce(), backend, &logits, &labels, Reduction::Sum, 1.0);
        assert_eq!(gradient, [0.5, 0.5, 0.5, 5.0, 5.0, 5.0], "{backend:?}");
    }
}

#[test]
fn weights_that_overflow_are_refused() {
    let huge = vector(&[1e300f64, 1e300]);
    assert!(matches!(
        half_observed().with_weights(Weights::PerRow(&huge)),
        Err(Error::Range { argument: "weights", .. })
    ));
    let large = vector(&[1e30f32, 1e30]);
    let once = half_observed().with_weights(Weights::PerRow(&large)).unwrap();
    assert!(matches!(once.with_weights(Weights::PerRow(&large)), Err(Error::Range { argument: "weights", .. })));
}

/// The weighted losses of two by two observed entries, each of which has an unweighted loss of ln 2.
fn weighted(labels: &Labels) -> Vec<Vec<f64>> {
    let logits = Tensor::zeros([2, 2], here(Kind::Float));
    backends().map(|backend| value_and_gradient(&bce(), backend, &logits, labels, Reduction::None, 1.0).0).collect()
}

#[test]
fn weights_are_read_as_they_are_and_stay_as_they_were() {
    let complete = || Labels::complete(&Tensor::zeros([2, 2], here(Kind::Float))).unwrap();
    let strided = vector(&[1f64, 7.0, 3.0, 7.0]).view([2, 2]).select(1, 0);
    let negated = vector(&[-1f64, -3.0]).internal_neg_view();
    let mut plain = vector(&[1f64, 3.0]);
    for weights in [&strided, &negated, &plain] {
        let rows = complete().with_weights(Weights::PerRow(weights)).unwrap();
        let labels = complete().with_weights(Weights::PerLabel(weights)).unwrap();
        for (found, expected) in [(rows, [1.0, 1.0, 3.0, 3.0]), (labels, [1.0, 3.0, 1.0, 3.0])] {
            for found in weighted(&found) {
                let ratios: Vec<f64> = found.iter().map(|loss| (loss / 2f64.ln()).round()).collect();
                assert_eq!(ratios, expected);
            }
            let loss = BceWithLogits::default();
            let mean = loss.forward(&Tensor::zeros([2, 2], here(Kind::Float)), &found, Reduction::WeightedMean);
            approx::assert_relative_eq!(mean.unwrap().double_value(&[]), 2f64.ln(), max_relative = 1e-7);
        }
    }
    let labels = complete().with_weights(Weights::PerRow(&plain)).unwrap();
    let before = weighted(&labels);
    let _ = plain.fill_(f64::NAN);
    assert_eq!(weighted(&labels), before);
}

#[test]
fn weights_whose_parts_leave_the_range_of_f32_still_multiply() {
    let one = |weight: f64| Tensor::full([2], weight, here(Kind::Double));
    for [entry, row, label] in [[1.0, 1e300, 1e-300], [1e-30, 1e30, 1e30], [1e30, 1e-30, 1e-30]] {
        // A weight per entry is 1 where the entry is missing; the other weights would be too large there.
        let last = if entry == 1.0 { f64::NAN } else { 1.0 };
        let labels = Labels::from_nan(&vector(&[1.0, 0.0, 1.0, last]).view([2, 2])).unwrap();
        let entries = one(entry).expand([2, 2], false);
        let labels = labels.with_weights(Weights::PerEntry(&entries)).unwrap();
        let labels = labels.with_weights(Weights::PerLabel(&one(label))).unwrap();
        let labels = labels.with_weights(Weights::PerRow(&one(row))).unwrap();
        let product = row * label * entry;
        for found in weighted(&labels) {
            for loss in &found[..3] {
                approx::assert_relative_eq!(*loss, 2f64.ln() * product, max_relative = 1e-6);
            }
            assert!(!last.is_nan() || found[3] == 0.0);
        }
    }
}

#[test]
fn asymmetric_loss_is_finite_where_its_parts_are_not() {
    let labels = Labels::complete(&vector(&[0.0, 0.0, 1.0, 0.0])).unwrap();
    for backend in backends() {
        for loss in [
            Asymmetric::default().with_gamma_negative(0.5),
            Asymmetric::default().with_clip(0.0),
            Asymmetric::default().with_clip(0.0).with_gamma_negative(0.5).with_gamma_positive(0.5),
        ] {
            let logits = vector(&[-5f32, -4.0, -5.0, 30.0]);
            let named = Named::new("asymmetric", loss);
            let (value, gradient) = value_and_gradient(&named, backend, &logits, &labels, Reduction::None, 1.0);
            assert!(
                value.iter().chain(&gradient).all(|number| number.is_finite()),
                "{loss:?} {backend:?} {gradient:?}"
            );
            assert!(loss.clip == 0.0 || gradient[0] == 0.0, "below the margin");
        }
    }
}

#[test]
fn tensors_without_memory_or_with_a_pending_sign_are_read_as_they_are() {
    let labels = Labels::complete(&Tensor::zeros([2], here(Kind::Float))).unwrap();
    let negated = vector(&[1f32, 2.0]).internal_neg_view();
    let plain = vector(&[-1f32, -2.0]);
    for backend in backends() {
        let run = |logits| value_and_gradient(&bce(), backend, logits, &labels, Reduction::None, 1.0).0;
        assert_eq!(run(&negated), run(&plain), "{backend:?}");
    }
    let nowhere = Tensor::internal_efficientzerotensor([2], here(Kind::Float));
    let found = BceWithLogits::default().forward(&nowhere, &labels, Reduction::Sum);
    assert!(found.is_err() || f64::try_from(found.unwrap()).unwrap() > 0.0);
}

#[test]
fn a_sum_beyond_its_dtype_is_infinite() {
    let labels = Labels::complete(&Tensor::zeros([64], here(Kind::Float))).unwrap();
    let logits = Tensor::full([64], 1e37, here(Kind::Float));
    for backend in backends() {
        let loss = BceWithLogits::default().forward_on(backend, &logits, &labels, Reduction::Sum).unwrap();
        assert_eq!(numbers(&loss), [f64::INFINITY], "{backend:?}");
    }
}

#[test]
fn settings_are_checked() {
    let refused = |loss: &dyn Loss, setting| {
        let found = loss.forward(&Tensor::zeros([2], here(Kind::Float)), &half_observed(), Reduction::Sum);
        assert!(matches!(found, Err(Error::Range { argument, .. }) if argument == setting), "{setting}: {found:?}");
    };
    refused(&BceWithLogits::default().with_label_smoothing(5.0), "label_smoothing");
    refused(&BceWithLogits::default().with_label_smoothing(f64::NAN), "label_smoothing");
    refused(&SigmoidFocal::default().with_gamma(-1.0), "gamma");
    refused(&SigmoidFocal::default().with_alpha(2.0), "alpha");
    refused(&Asymmetric::default().with_clip(2.0), "clip");
    refused(&Asymmetric::default().with_gamma_negative(f64::INFINITY), "gamma_negative");
    refused(&Hill::default().with_lambda(-1.0), "lambda");
    refused(&Hill::default().with_margin(f64::NEG_INFINITY), "margin");
    refused(&Hill::default().with_gamma(f64::NAN), "gamma");
    refused(&Huber::default().with_delta(0.0), "delta");
    refused(&UnbiasedBce::new(vec![2.0, 0.5]), "inverse_propensity");
}

#[test]
fn a_batch_needs_a_vector_of_rows_that_are_there() {
    let labels = Labels::complete(&Tensor::zeros([3, 2], here(Kind::Float))).unwrap();
    assert_eq!(labels.rows(&vector(&[2i64, 0])).unwrap().size(), [2, 2]);
    let scalar = labels.rows(&tensor(&[1i64], &[])).unwrap_err().to_string();
    assert_eq!(scalar, "index: expected shape [n], found []");
    let floats = labels.rows(&vector(&[1.0])).unwrap_err().to_string();
    assert_eq!(floats, "index: expected integers, found Double");
    // On a GPU the kernel detects this, and ends the process.
    if on_the_cpu("a row that is not there") {
        let batch = labels.rows(&vector(&[2i64, 0])).unwrap();
        for (labels, end) in [(&labels, 3), (&labels.to_sparse().unwrap(), 3), (&batch, 2)] {
            for index in [end, -1, i64::MAX] {
                let found = labels.rows(&vector(&[0, index])).unwrap_err().to_string();
                assert_eq!(found, format!("index: expected numbers within 0..{end}, found {}", index as f64));
            }
        }
    }
    // Integers of any width.
    for kind in [Kind::Uint8, Kind::Int16, Kind::Int] {
        assert_eq!(labels.rows(&vector(&[2i64]).to_kind(kind)).unwrap().size(), [1, 2], "{kind:?}");
    }
    let flat = Labels::complete(&tensor(&[1.0], &[])).unwrap_err().to_string();
    assert_eq!(flat, "labels: expected shape of rank 1 or more, found []");
}
