//! On the device that the tests use: the same losses and gradients as on the CPU, and errors where devices are mixed.

use masked_loss::metrics::{Metric, summarize};
use masked_loss::{
    Accumulator, Backend, BceWithLogits, Error, Labels, Loss, NonNegativePu, PartialBce, Propensity, Raw, Reduction,
    RowGuard, SoftmaxCrossEntropy, Weights, expected_positives,
};
use rand::rngs::SmallRng;
use tch::{Device, Kind, Tensor};

use crate::common::{Case, KINDS, REDUCTIONS, backward, device, here, losses, numbers, rng, tensor, uniform, vector};

const SIZE: [i64; 2] = [37, 5];

/// Labels with all kinds of weights, selected from a table.
fn batch(rng: &mut SmallRng, case: &Case) -> Labels {
    let [entries, rows, labels] = [SIZE[0] * SIZE[1], SIZE[0], SIZE[1]].map(|count| uniform(rng, count, 0.1..3.0));
    let weighted = case.labels().with_weights(Weights::PerEntry(&tensor(&entries, &SIZE))).unwrap();
    let weighted = weighted.with_weights(Weights::PerRow(&vector(&rows))).unwrap();
    let weighted = weighted.with_weights(Weights::PerLabel(&vector(&labels))).unwrap();
    weighted.rows(&index()).unwrap()
}

fn index() -> Tensor {
    vector(&[36i64, 0, 5, 5, 17, 20, 1])
}

fn close(found: &[f64], expected: &[f64], limit: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f64, number| largest.max(number.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= limit * largest, "{what}: {found}, {expected}");
    }
}

#[test]
fn every_loss_is_that_of_the_cpu() {
    let mut rng = rng(91);
    for named in losses(SIZE[1] as usize) {
        for soft in [false, true] {
            let case = Case::draw(&mut rng, &named, &SIZE, 0.5, soft);
            let (labels, logits) = (batch(&mut rng, &case), case.input(Kind::Double).index_select(0, &index()));
            let moved = labels.to_device(Device::Cpu).unwrap();
            let returned = moved.to_device(device()).unwrap();
            for (reduction, kind) in REDUCTIONS.into_iter().flat_map(|reduction| KINDS.map(|kind| (reduction, kind))) {
                let what = format!("{}, soft {soft}, {reduction:?}, {kind:?}", named.name);
                let of = |logits: &Tensor, labels: &Labels| {
                    backward(&logits.to_kind(kind), 100.0, |x| {
                        named.loss.forward_on(Backend::Composed, x, labels, reduction).unwrap()
                    })
                };
                let found = of(&logits, &labels);
                let expected = of(&logits.to_device(Device::Cpu), &moved);
                // For half precision the value is `f32`, and the gradient has one more rounding.
                let (value, gradient) = match kind {
                    Kind::Double => (1e-13, 1e-13),
                    Kind::Float => (3e-6, 3e-6),
                    Kind::Half => (3e-6, 2e-3),
                    _ => (3e-6, 2e-2),
                };
                close(&found.0, &expected.0, value, &what);
                close(&found.1, &expected.1, gradient, &what);
                let there_and_back = of(&logits, &returned);
                close(&there_and_back.0, &found.0, value, &what);
                close(&there_and_back.1, &found.1, gradient, &what);
            }
        }
    }
}

#[test]
fn labels_keep_everything_from_device_to_device() {
    let mut rng = rng(92);
    for (named, soft) in losses(SIZE[1] as usize).iter().flat_map(|named| [(named, false), (named, true)]) {
        let case = Case::draw(&mut rng, named, &SIZE, 0.5, soft);
        let labels = batch(&mut rng, &case);
        let moved = labels.to_device(Device::Cpu).unwrap();
        let returned = moved.to_device(device()).unwrap();
        assert_eq!((moved.device(), returned.device(), labels.device()), (Device::Cpu, device(), device()));
        for other in [moved, returned] {
            assert_eq!((other.size(), other.range()), (labels.size(), labels.range()));
            let of = |labels: &Labels| {
                [
                    labels.values().unwrap().nan_to_num(-1.0, None, None),
                    labels.observed().unwrap(),
                    labels.observed_count().unwrap(),
                    labels.observed_per_label().unwrap(),
                ]
                .map(|tensor| {
                    assert_eq!(tensor.device(), labels.device());
                    (tensor.kind(), tensor.size(), numbers(&tensor))
                })
            };
            assert_eq!(of(&other), of(&labels));
        }
    }
}

#[test]
fn a_pair_and_its_totals_lie_where_the_logits_do() {
    let mut rng = rng(96);
    let named = &losses(SIZE[1] as usize)[0];
    let case = Case::draw(&mut rng, named, &SIZE, 0.5, false);
    let (labels, logits) = (batch(&mut rng, &case), case.input(Kind::Float).index_select(0, &index()));
    let logits = logits.set_requires_grad(true);
    for reduction in REDUCTIONS {
        let (sum, weight) = named.loss.sum_and_weight(&logits, &labels, reduction).unwrap();
        assert_eq!((sum.device(), weight.device()), (device(), device()), "{reduction:?}");
        let Ok(mut window) = Accumulator::new(reduction) else { continue };
        window.backward(&*named.loss, &logits, &labels).unwrap();
        let (sum, weight) = window.totals().unwrap();
        assert_eq!((sum.device(), weight.device()), (device(), device()), "{reduction:?}");
        assert_eq!(window.finish(&[]).unwrap().device(), device(), "{reduction:?}");
    }
}

#[test]
fn losses_of_rows_and_of_labels_are_those_of_the_cpu() {
    let mut rng = rng(93);
    let logits = tensor(&uniform(&mut rng, 24, -3.0..3.0), &[6, 4]);
    let check = |run: &dyn Fn(&Tensor) -> Tensor, what: &str| {
        let (found, expected) = (backward(&logits, 2.0, run), backward(&logits.to_device(Device::Cpu), 2.0, run));
        close(&found.0, &expected.0, 1e-13, what);
        close(&found.1, &expected.1, 1e-13, what);
    };
    let classes = Labels::from_sentinel(&vector(&[3i64, -100, 0, 1, -100, 2]), -100.0).unwrap();
    let softmax = SoftmaxCrossEntropy::default().with_weight(vec![0.5, 2.0, 1.0, 1.25]).with_label_smoothing(0.1);
    let positives: Vec<f64> = (0..24).map(|i| if i % 5 < 2 { 1.0 } else { f64::NAN }).collect();
    let positives = Labels::from_nan(&tensor(&positives, &[6, 4])).unwrap();
    for reduction in REDUCTIONS {
        let run = |x: &Tensor| softmax.forward(x, &classes.to_device(x.device()).unwrap(), reduction).unwrap();
        check(&run, &format!("softmax, {reduction:?}"));
        if matches!(reduction, Reduction::MeanAll | Reduction::MeanPerRow | Reduction::WeightedMean) {
            continue;
        }
        let nnpu = NonNegativePu::new(vec![0.1, 0.5, 0.9, 1.0]).with_beta(0.01).with_gamma(0.5);
        let run = |x: &Tensor| nnpu.forward(x, &positives.to_device(x.device()).unwrap(), reduction).unwrap();
        check(&run, &format!("nnPU, {reduction:?}"));
    }
    check(&|x| expected_positives(x, 1.5).unwrap(), "expected positives");
}

#[test]
fn weights_that_follow_from_the_labels_are_those_of_the_cpu() {
    let mut rng = rng(94);
    let case = Case::draw(&mut rng, &losses(4)[0], &[30, 4], 0.6, false);
    let of = |labels: Labels| {
        let logits = Tensor::zeros(labels.size(), (Kind::Double, labels.device()));
        let entries = |labels| numbers(&BceWithLogits::default().forward(&logits, &labels, Reduction::None).unwrap());
        let propensity = labels.inverse_propensity(Propensity::default()).unwrap();
        let balanced = labels.clone().with_balanced_weights().unwrap();
        let imputed = labels.imputed(&Tensor::full([4], 0.25, (Kind::Double, labels.device()))).unwrap();
        let partial = labels
            .with_partial_bce_weights(PartialBce::default().with_alpha(1.0).with_beta(0.5).with_gamma(-1.0))
            .unwrap();
        [propensity, entries(balanced), entries(partial), entries(imputed)].concat()
    };
    close(&of(case.labels()), &of(case.labels().to_device(Device::Cpu).unwrap()), 1e-6, "weights");
}

#[test]
fn metrics_are_those_of_the_cpu() {
    let mut rng = rng(95);
    let case = Case::draw(&mut rng, &losses(4)[0], &[30, 4], 0.6, false);
    let (scores, labels) = (case.input(Kind::Float).sigmoid(), case.labels());
    for metric in Metric::all() {
        let found = summarize(metric, &scores, &labels).unwrap();
        let moved = (scores.to_device(Device::Cpu), labels.to_device(Device::Cpu).unwrap());
        assert_eq!(found, summarize(metric, &moved.0, &moved.1).unwrap(), "{metric:?}");
    }
}

#[test]
fn the_fused_backend_says_that_it_is_for_the_cpu() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let logits = Tensor::zeros([2], here(Kind::Float));
    let found = BceWithLogits::default().forward_on(Backend::Fused, &logits, &labels, Reduction::Mean);
    match device() {
        Device::Cpu => assert!(found.is_ok(), "{found:?}"),
        there => assert_eq!(
            found.unwrap_err().to_string(),
            format!("the fused backend runs on the CPU, and the logits are on {there:?}; use the composed backend")
        ),
    }
}

#[test]
fn mixed_devices_are_an_error_that_names_them() {
    let (there, values) = (device(), vector(&[1.0, 0.0]));
    if there == Device::Cpu {
        return; // There is no other device.
    }
    let (labels, cpu) = (Labels::complete(&values).unwrap(), values.to_device(Device::Cpu));
    let bce = BceWithLogits::default();
    let refused = |name: &str, found: masked_loss::Result<()>| {
        let expected = format!("{name}: expected on {there:?}, found on Cpu");
        let error = found.unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
        assert_eq!(error.to_string(), expected);
    };
    refused("logits", bce.forward(&cpu, &labels, Reduction::Mean).map(drop));
    refused("logits", bce.forward_raw(&cpu, Raw::Nan(&values), Reduction::Mean).map(drop));
    refused("logits", bce.sum_and_weight(&cpu, &labels, Reduction::Mean).map(drop));
    refused("mask", Labels::from_mask(&values, &cpu).map(drop));
    refused("weights", labels.clone().with_weights(Weights::PerRow(&cpu)).map(drop));
    refused("values", labels.imputed(&cpu).map(drop));
    refused("scores", summarize(Metric::Auroc, &cpu, &labels).map(drop));
    refused("bounds", labels.clone().with_bounds(&cpu).map(drop));
    let counts = labels.observed_per_label().unwrap();
    refused("weights", RowGuard::new(&counts, &[&cpu]).map(drop));
    let rows = labels.rows(&Tensor::from_slice(&[0i64]));
    assert!(matches!(rows, Err(Error::Device { argument: "index", .. })), "{rows:?}");
}
