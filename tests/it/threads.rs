//! Reproducibility.

use masked_loss::{Backend, BceWithLogits, Head, Labels, Linear, Loss, Named, Raw, Reduction, Weights};
use tch::{Device, Kind, Tensor};

use crate::common::{
    Case, KINDS, REDUCTIONS, backward, losses, numbers, on_the_cpu, rng, run_again, tensor, uniform, value_and_gradient,
};

/// Set in the process that may change its number of threads.
const ALONE: &str = "MASKED_LOSS_TEST_ALONE";

#[test]
fn the_same_bits_for_any_number_of_threads() {
    if !on_the_cpu("the number of threads") {
        return;
    }
    // The number of threads is a setting of the process, and other tests run in this one.
    if std::env::var_os(ALONE).is_none() {
        let name = "threads::the_same_bits_for_any_number_of_threads";
        run_again(&[name, "--exact", "--nocapture"], ALONE, "1");
        return;
    }
    for named in losses(1000) {
        let case = Case::draw(&mut rng(5), &named, &[200, 1000], 0.5, false);
        same_bits(&named, &case, &case.labels(), Reduction::Mean);
    }
    let (mut rng, named) = (rng(6), Named::new("bce", BceWithLogits::default()));
    let case = Case::draw(&mut rng, &named, &[634, 65], 0.5, false);
    let weights = uniform(&mut rng, 634, 0.0..3.0);
    let labels = case.labels().with_weights(Weights::PerRow(&tensor(&weights, &[634]))).unwrap();
    for reduction in REDUCTIONS {
        same_bits(&named, &case, &labels, reduction);
    }
}

/// In a separate process, as above.
#[test]
fn the_observed_head_has_the_same_bits_for_any_number_of_threads() {
    if std::env::var_os(ALONE).is_none() {
        let name = "threads::the_observed_head_has_the_same_bits_for_any_number_of_threads";
        run_again(&[name, "--exact", "--nocapture"], ALONE, "1");
        return;
    }
    let named = Named::new("bce", BceWithLogits::default());
    let case = Case::draw(&mut rng(7), &named, &[300, 90], 0.2, false);
    let labels = Labels::from_nan(&case.raw().to_device(Device::Cpu)).unwrap();
    let draw = |size: [i64; 2]| {
        let numbers = uniform(&mut rng(8), size.iter().product(), -1.0..1.0);
        Tensor::from_slice(&numbers).view(size).to_kind(Kind::Float).set_requires_grad(true)
    };
    let (hidden, weight) = (draw([300, 33]), draw([90, 33]));
    for reduction in [Reduction::Sum, Reduction::MeanPerLabel, Reduction::WeightedMean] {
        let run = |threads| {
            tch::set_num_threads(threads);
            let linear = Linear::new(&weight, None).with_head(Head::Observed);
            let loss = named.loss.forward_linear(&hidden, &linear, &labels, reduction).unwrap();
            let gradients = Tensor::run_backward(&[&loss], &[&hidden, &weight], false, false);
            [numbers(&loss), numbers(&gradients[0]), numbers(&gradients[1])]
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{reduction:?}, {threads} threads");
        }
    }
}

fn same_bits(named: &Named, case: &Case, labels: &Labels, reduction: Reduction) {
    for kind in KINDS {
        let run = |threads| {
            tch::set_num_threads(threads);
            value_and_gradient(named, Backend::Fused, &case.input(kind), labels, reduction, 1.0)
        };
        let (values, mask) = (tensor(&case.label, &case.size), case.mask());
        let run_raw = |threads| {
            tch::set_num_threads(threads);
            let raw = Raw::Mask { labels: &values, mask: &mask };
            backward(&case.input(kind), 1.0, |x| named.loss.forward_raw(x, raw, reduction).unwrap())
        };
        let (one, one_raw) = (run(1), run_raw(1));
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{}, {reduction:?}, {kind:?}, {threads} threads", named.name);
            assert!(run_raw(threads) == one_raw, "{}, raw, {reduction:?}, {kind:?}, {threads} threads", named.name);
        }
    }
}
