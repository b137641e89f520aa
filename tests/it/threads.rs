//! Reproducibility.

use masked_loss::{Backend, BceWithLogits, Head, Labels, Linear, Loss, Missing, Named, Raw, Reduction, Weights};
use tch::{Device, Kind, Tensor};

use crate::common::{Case, KINDS, REDUCTIONS, backward, losses, numbers, on_the_cpu, rng, run_again, tensor, uniform};

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
    let mut rng = rng(5);
    for named in losses(1000) {
        let case = Case::draw(&mut rng, &named, &[200, 1000], 0.5, false);
        let labels = case.labels();
        for kind in KINDS {
            same(named.name, &*named.loss, &case.input(kind), &labels, Reduction::Mean);
            same_raw(&named, &case, kind, Reduction::Mean);
        }
        for reduction in REDUCTIONS {
            same(named.name, &*named.loss, &case.input(Kind::Float), &labels, reduction);
            same_raw(&named, &case, Kind::Float, reduction);
        }
    }
    let bce = Named::new("bce", BceWithLogits::default());
    let case = Case::draw(&mut rng, &bce, &[634, 65], 0.5, false);
    let weights = uniform(&mut rng, 634, 0.0..3.0);
    let labels = case.labels().with_weights(Weights::PerRow(&tensor(&weights, &[634]))).unwrap();
    let index = Tensor::from_slice(&(0..500).map(|i| i * 7 % 634).collect::<Vec<i64>>());
    let some = case.input(Kind::Float).index_select(0, &index);
    for (name, policy) in Missing::catalogue() {
        let loss = BceWithLogits::default().with_missing(policy);
        for reduction in REDUCTIONS {
            for kind in KINDS {
                same(name, &loss, &case.input(kind), &labels, reduction);
            }
            for labels in [&labels, &labels.to_sparse().unwrap()] {
                same(name, &loss, &case.input(Kind::Float), labels, reduction);
                same(name, &loss, &some, &labels.rows(&index).unwrap(), reduction);
            }
        }
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
    for kind in KINDS {
        let draw = |size: [i64; 2]| {
            let numbers = uniform(&mut rng(8), size.iter().product(), -1.0..1.0);
            Tensor::from_slice(&numbers).view(size).to_kind(kind).set_requires_grad(true)
        };
        let (hidden, weight) = (draw([300, 33]), draw([90, 33]));
        for reduction in [Reduction::Sum, Reduction::MeanPerLabel, Reduction::WeightedMean] {
            alike(&format!("{reduction:?}, {kind:?}"), || {
                let linear = Linear::new(&weight, None).with_head(Head::Observed);
                let loss = named.loss.forward_linear(&hidden, &linear, &labels, reduction).unwrap();
                let gradients = Tensor::run_backward(&[&loss], &[&hidden, &weight], false, false);
                [numbers(&loss), numbers(&gradients[0]), numbers(&gradients[1])]
            });
        }
    }
}

fn same(name: &str, loss: &dyn Loss, input: &Tensor, labels: &Labels, reduction: Reduction) {
    alike(&format!("{name}, {reduction:?}, {:?}", input.kind()), || {
        backward(input, 1.0, |x| loss.forward_on(Backend::Fused, x, labels, reduction).unwrap())
    });
}

fn same_raw(named: &Named, case: &Case, kind: Kind, reduction: Reduction) {
    let (values, mask) = (tensor(&case.label, &case.size), case.mask());
    let raw = Raw::Mask { labels: &values, mask: &mask };
    alike(&format!("{}, raw, {reduction:?}, {kind:?}", named.name), || {
        backward(&case.input(kind), 1.0, |x| named.loss.forward_raw(x, raw, reduction).unwrap())
    });
}

fn alike<T: PartialEq>(what: &str, run: impl Fn() -> T) {
    let with = |threads| {
        tch::set_num_threads(threads);
        run()
    };
    let one = with(1);
    for threads in [2, 3, 7] {
        assert!(with(threads) == one, "{what}, {threads} threads");
    }
}
