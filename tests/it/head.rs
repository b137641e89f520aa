//! A last layer with its loss equals computing all logits, then their loss.

use masked_loss::{
    Accumulator, BceWithLogits, Censored, Head, Labels, Linear, Loss, Missing, Reduction, SigmoidFocal,
    SoftmaxCrossEntropy, SquaredError, Weights,
};
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};

use crate::common::layer::{Layer, REDUCED, close, labels};
use crate::common::{initialise, losses, numbers, rng, uniform};

#[test]
fn every_head_agrees_with_all_logits() {
    for (seed, size) in (0..).zip([[13i64, 9, 20], [40, 9, 3], [1, 9, 65]]) {
        for named in losses(9) {
            for (share, soft) in [(0.0, false), (0.1, false), (0.5, true), (1.0, false)] {
                let labels = labels(seed, [size[0], size[1]], share, soft);
                for (kind, epsilon) in [(Kind::Float, f64::from(f32::EPSILON)), (Kind::Double, f64::EPSILON)] {
                    let layer = Layer::draw(seed, &named, size, kind);
                    for reduction in REDUCED {
                        let what = format!("{}, {size:?}, {share}, {kind:?}, {reduction:?}", named.name);
                        let loss = &*named.loss;
                        let expected = layer.found(Head::Dense, loss, &labels, reduction, false);
                        let found = layer.found(Head::Observed, loss, &labels, reduction, false);
                        close(&what, &found, &expected, epsilon);
                        let sparse = labels.to_sparse().unwrap();
                        assert_eq!(layer.found(Head::Observed, loss, &sparse, reduction, true), found, "{what}");
                        for labels in [&labels, &sparse] {
                            let found = layer.found(Head::Chunked, loss, labels, reduction, false);
                            close(&what, &found, &expected, epsilon);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn micro_batches_of_any_head_add_up_to_the_batch() {
    let named = &losses(9)[0];
    let layer = Layer::draw(17, named, [12, 9, 8], Kind::Double);
    let labels = labels(18, [12, 9], 0.2, true);
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::MeanPerRow, Reduction::MeanOver(3.5)] {
        let expected = layer.found(Head::Dense, &*named.loss, &labels, reduction, false);
        for head in [Head::Auto, Head::Dense, Head::Chunked, Head::Observed] {
            let mut window = Accumulator::new(reduction).unwrap();
            let whole = layer.tracked();
            for part in [&[0i64, 1, 2, 3, 4, 5, 6][..], &[7], &[8, 9, 10, 11]] {
                let index = Tensor::from_slice(part);
                let linear = Linear::new(&whole.weight, Some(&whole.bias)).with_head(head);
                let hidden = whole.hidden.index_select(0, &index);
                let part = labels.rows(&index).unwrap();
                window.backward_linear(&*named.loss, &hidden, &linear, &part).unwrap();
            }
            let parameters = [whole.hidden.shallow_clone(), whole.weight.shallow_clone(), whole.bias.shallow_clone()];
            let loss = window.finish(&parameters).unwrap();
            let [hidden, weight, bias] = parameters.map(|parameter| numbers(&(parameter.grad() * 0.5)));
            close(
                &format!("{reduction:?}, {head:?}"),
                &[numbers(&loss), hidden, weight, bias],
                &expected,
                f64::EPSILON,
            );
        }
    }
}

#[test]
fn weights_multiply_the_losses_of_any_head() {
    let (named, size) = (&losses(9)[0], [12i64, 9, 8]);
    let layer = Layer::draw(3, named, size, Kind::Double);
    let of = |size: &[i64]| Tensor::from_slice(&uniform(&mut rng(4), size.iter().product(), 0.0..2.0)).view(size);
    let weighted = labels(5, [12, 9], 0.4, true)
        .with_weights(Weights::PerEntry(&of(&[12, 9])))
        .and_then(|labels| labels.with_weights(Weights::PerRow(&of(&[12]))))
        .and_then(|labels| labels.with_weights(Weights::PerLabel(&of(&[9]))))
        .unwrap();
    for labels in [&weighted, &weighted.to_sparse().unwrap()] {
        for reduction in REDUCED {
            let [dense, observed, chunked] = [Head::Dense, Head::Observed, Head::Chunked]
                .map(|head| layer.found(head, &*named.loss, labels, reduction, false));
            close(&format!("{reduction:?}"), &observed, &dense, f64::EPSILON);
            close(&format!("{reduction:?}, chunked"), &chunked, &dense, f64::EPSILON);
        }
    }
}

#[test]
fn chunks_of_labels_add_up_to_all() {
    // More logits than fit in memory at once.
    let size = [1100i64, 4000, 3];
    let cells = labels(22, [30, 4000], 0.3, true).values().unwrap().repeat([37, 1]).narrow(0, 0, 1100);
    // A run of unobserved labels.
    let _ = cells.narrow(1, 1800, 2100).fill_(f64::NAN);
    let of = |count: i64| Tensor::from_slice(&uniform(&mut rng(23), count, 0.5..2.0));
    let matrix = Labels::from_nan(&cells).unwrap().with_weights(Weights::PerLabel(&of(4000))).unwrap();
    let sparse = matrix.to_sparse().unwrap();
    let backwards = Tensor::from_slice(&(0..1100).rev().collect::<Vec<i64>>());
    let bce = || {
        BceWithLogits::default().with_pos_weight((0..4000).map(f64::from).collect::<Vec<_>>()).with_label_smoothing(0.1)
    };
    let layer = Layer::draw(24, &losses(9)[0], size, Kind::Double);
    for labels in [matrix.clone(), matrix.rows(&backwards).unwrap(), sparse.rows(&backwards).unwrap()] {
        for reduction in [Reduction::WeightedMean, Reduction::MeanPerLabel] {
            for missing in [Missing::Ignore, Missing::WeakNegative, Missing::UnknownEntropy { alpha: 0.1 }] {
                let loss = bce().with_missing(missing);
                let [dense, chunked] =
                    [Head::Dense, Head::Chunked].map(|head| layer.found(head, &loss, &labels, reduction, false));
                close(&format!("{reduction:?}"), &chunked, &dense, f64::EPSILON);
            }
        }
    }
    // So many logits that the dense head is no faster.
    let many = Labels::complete(&Tensor::ones([5, 1 << 22], (Kind::Float, Device::Cpu))).unwrap();
    let layer = Layer::draw(25, &losses(9)[0], [5, 1 << 22, 1], Kind::Float);
    let of = |head| layer.found(head, &BceWithLogits::default(), &many, Reduction::Mean, false);
    assert!(of(Head::Auto) == of(Head::Chunked));
}

#[test]
fn what_is_missing_shows_nowhere() {
    let named = &losses(9)[0];
    let layer = Layer::draw(6, named, [10, 9, 4], Kind::Float);
    // Neither row 2 nor label 5 is observed.
    let values = labels(7, [10, 9], 0.5, false).values().unwrap();
    let _ = values.get(2).fill_(f64::NAN);
    let _ = values.select(1, 5).fill_(f64::NAN);
    let labels = Labels::from_nan(&values).unwrap();
    let expected = layer.found(Head::Observed, &*named.loss, &labels, Reduction::Mean, false);
    for garbage in [f64::NAN, f64::INFINITY] {
        let spoilt = layer.tracked();
        tch::no_grad(|| {
            let _ = spoilt.hidden.get(2).fill_(garbage);
            let _ = spoilt.weight.get(5).fill_(garbage);
            let _ = spoilt.bias.get(5).fill_(garbage);
        });
        assert_eq!(spoilt.found(Head::Observed, &*named.loss, &labels, Reduction::Mean, false), expected);
    }
    // Only touched labels have rows in a sparse gradient.
    let tracked = layer.tracked();
    let linear = Linear::new(&tracked.weight, None).with_head(Head::Observed).with_sparse_gradient(true);
    let loss = BceWithLogits::default().forward_linear(&tracked.hidden, &linear, &labels, Reduction::Mean).unwrap();
    loss.backward();
    let gradient = tracked.weight.grad();
    assert!(gradient.is_sparse());
    let rows = Vec::<i64>::try_from(gradient.coalesce().indices().view([-1])).unwrap();
    assert_eq!(rows, [0, 1, 2, 3, 4, 6, 7, 8]);
    assert!(!tracked.bias.grad().defined());
}

#[test]
fn plain_gradient_descent_takes_sparse_gradients() {
    let labels = labels(19, [20, 9], 0.1, false);
    let hidden = Tensor::from_slice(&uniform(&mut rng(20), 20 * 4, -1.0..1.0)).view([20, 4]).to_kind(Kind::Float);
    let trained = |head, sparse_gradient| {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = nn::linear(variables.root(), 4, 9, Default::default());
        initialise(&layer, &mut rng(21));
        let mut optimizer = nn::Sgd::default().build(&variables, 0.5).unwrap();
        for step in 0..5 {
            let index = Tensor::arange_start(4 * step, 4 * step + 4, (Kind::Int64, Device::Cpu));
            let linear = Linear::from(&layer).with_head(head).with_sparse_gradient(sparse_gradient);
            let (hidden, labels) = (hidden.index_select(0, &index), labels.rows(&index).unwrap());
            let bce = BceWithLogits::default();
            let loss = bce.forward_linear(&hidden, &linear, &labels, Reduction::Mean).unwrap();
            optimizer.backward_step(&loss);
        }
        [numbers(&layer.ws), numbers(&layer.bs.unwrap())].concat()
    };
    let expected = trained(Head::Observed, false);
    assert_eq!(trained(Head::Observed, true), expected);
    let dense = trained(Head::Dense, false);
    assert!(dense.iter().zip(&expected).all(|(dense, observed)| (dense - observed).abs() < 1e-6));
}

#[test]
fn nothing_observed_is_a_loss_of_zero_with_gradients_of_zero() {
    let named = &losses(9)[0];
    for size in [[4i64, 9, 3], [0, 9, 3], [4, 0, 3], [4, 9, 0]] {
        let layer = Layer::draw(8, named, size, Kind::Float);
        let none = Tensor::full([size[0], size[1]], f64::NAN, (Kind::Float, Device::Cpu));
        let labels = Labels::from_nan(&none).unwrap();
        for sparse in [false, true] {
            for reduction in [Reduction::Sum, Reduction::Mean, Reduction::MeanPerRow, Reduction::WeightedMean] {
                let bce = BceWithLogits::default();
                let found = layer.found(Head::Observed, &bce, &labels, reduction, sparse);
                assert!(found.iter().flatten().all(|&number| number == 0.0), "{size:?}, {reduction:?}: {found:?}");
            }
        }
    }
}

#[test]
fn the_layer_may_lie_in_memory_in_any_way_and_need_few_gradients() {
    let named = &losses(9)[0];
    let layer = Layer::draw(9, named, [6, 9, 5], Kind::Float);
    let labels = labels(10, [6, 9], 0.6, false);
    let expected = layer.found(Head::Observed, &*named.loss, &labels, Reduction::Mean, false);
    let strided = |tensor: &Tensor| Tensor::stack(&[tensor, tensor], -1).select(-1, 1).set_requires_grad(true);
    let (hidden, weight, bias) = (strided(&layer.hidden), strided(&layer.weight), strided(&layer.bias));
    assert!(!hidden.is_contiguous() && !bias.is_contiguous());
    let linear = Linear::new(&weight, Some(&bias)).with_head(Head::Observed);
    let loss = named.loss.forward_linear(&hidden, &linear, &labels, Reduction::Mean).unwrap();
    (&loss * 0.5).backward();
    let found = [numbers(&loss), numbers(&hidden.grad()), numbers(&weight.grad()), numbers(&bias.grad())];
    assert_eq!(found, expected);

    // A frozen layer, one that is trained alone, and neither.
    for trained in [[true, false], [false, true], [false, false]] {
        let [hidden, weight] =
            [(&layer.hidden, trained[0]), (&layer.weight, trained[1])].map(|(t, on)| t.copy().set_requires_grad(on));
        let linear = Linear::new(&weight, Some(&layer.bias)).with_head(Head::Observed);
        let loss = named.loss.forward_linear(&hidden, &linear, &labels, Reduction::Mean).unwrap();
        assert_eq!((numbers(&loss), loss.requires_grad()), (expected[0].clone(), trained != [false, false]));
        if loss.requires_grad() {
            (loss * 0.5).backward();
        }
        for (tensor, expected) in [(&hidden, &expected[1]), (&weight, &expected[2])] {
            let gradient = tensor.grad();
            assert!(!gradient.defined() || numbers(&gradient) == *expected);
            assert_eq!(gradient.defined(), tensor.requires_grad());
        }
    }
}

#[test]
fn a_graph_that_is_kept_goes_backward_again() {
    let named = &losses(9)[0];
    let layer = Layer::draw(11, named, [6, 9, 5], Kind::Float).tracked();
    let labels = labels(12, [6, 9], 0.6, false);
    for sparse_gradient in [false, true] {
        let linear = Linear::new(&layer.weight, Some(&layer.bias))
            .with_head(Head::Observed)
            .with_sparse_gradient(sparse_gradient);
        let loss = named.loss.forward_linear(&layer.hidden, &linear, &labels, Reduction::Mean).unwrap();
        let inputs = [&layer.hidden, &layer.weight, &layer.bias];
        let dense = |tensor: &Tensor| {
            numbers(&if tensor.is_sparse() { tensor.to_dense(None::<Kind>, false) } else { tensor.shallow_clone() })
        };
        let mut once = Tensor::run_backward(&[&loss], &inputs, true, false);
        let expected: Vec<_> = once.iter().map(dense).collect();
        // The caller owns the gradients, and may change them.
        once.iter_mut().for_each(|gradient| *gradient = gradient.zero_());
        let twice = Tensor::run_backward(&[&loss], &inputs, false, false);
        assert_eq!(twice.iter().map(dense).collect::<Vec<_>>(), expected);
        let again = Tensor::f_run_backward(&[&loss], &inputs, false, false).unwrap_err();
        assert!(again.to_string().contains("backward through the graph a second time"), "{again}");
        // An infinite upstream gradient leaves zeros unchanged.
        let loss = named.loss.forward_linear(&layer.hidden, &linear, &labels, Reduction::Mean).unwrap() * f64::INFINITY;
        let spread = Tensor::run_backward(&[&loss], &inputs, false, false);
        assert!(
            spread.iter().all(|gradient| dense(gradient).iter().all(|number| *number == 0.0 || number.is_infinite()))
        );
    }
}

#[test]
fn auto_chooses_and_what_does_not_fit_is_refused() {
    let named = &losses(9)[0];
    let layer = Layer::draw(13, named, [10, 9, 4], Kind::Float);
    for (share, likely) in [(0.05, Head::Observed), (0.9, Head::Dense)] {
        let labels = labels(14, [10, 9], share, false);
        let of = |head| layer.found(head, &SigmoidFocal::default(), &labels, Reduction::Mean, false);
        assert_eq!(of(Head::Auto), of(likely), "{share}");
    }
    let labels = labels(15, [10, 9], 0.1, false);
    let error = |loss: &dyn Loss, hidden: &Tensor, weight: &Tensor, bias: &Tensor, reduction, head| {
        let linear = Linear::new(weight, Some(bias)).with_head(head);
        loss.forward_linear(hidden, &linear, &labels, reduction).unwrap_err().to_string()
    };
    let (bce, Layer { hidden, weight, bias }) = (BceWithLogits::default(), &layer);
    for head in [Head::Auto, Head::Dense, Head::Chunked, Head::Observed] {
        let fault =
            |hidden: &Tensor, weight: &Tensor, bias: &Tensor| error(&bce, hidden, weight, bias, Reduction::Mean, head);
        assert_eq!(fault(&hidden.get(0), weight, bias), "hidden: expected shape [10, D], found [4]");
        assert_eq!(fault(&hidden.narrow(0, 0, 9), weight, bias), "hidden: expected shape [10, 4], found [9, 4]");
        assert_eq!(fault(hidden, &weight.narrow(1, 0, 3), bias), "weight: expected shape [9, 4], found [9, 3]");
        assert_eq!(fault(hidden, weight, &bias.narrow(0, 0, 1)), "bias: expected shape [9], found [1]");
        let double = weight.to_kind(Kind::Double);
        assert_eq!(fault(hidden, &double, bias), "weight: expected Float, the type of hidden, found Double");
    }
    let refused = |loss: &dyn Loss, reduction| error(loss, hidden, weight, bias, reduction, Head::Observed);
    let none = refused(&bce, Reduction::None);
    assert_eq!(none, "Head::Observed has no loss for each entry of a matrix; use Head::Dense");
    let counted = refused(&BceWithLogits::default().with_missing(Missing::Negative), Reduction::Mean);
    assert_eq!(counted, "Head::Observed leaves missing entries out, and this loss counts them; use Head::Dense");
    let softmax = refused(&SoftmaxCrossEntropy::default(), Reduction::Mean);
    assert_eq!(softmax, "Head::Observed is for losses that are one formula; use Head::Dense");
    let probabilities = &losses(9).into_iter().find(|named| *named.input_range.start() == 0.0).unwrap();
    for head in [Head::Dense, Head::Chunked, Head::Observed] {
        let found = error(&*probabilities.loss, hidden, weight, bias, Reduction::Mean, head);
        assert!(found.starts_with("probabilities: expected numbers within [0, 1] where observed, found "), "{found}");
    }
    // Other losses compute all logits.
    let loss = Censored::new(SquaredError);
    let of = |loss: &dyn Loss, head| layer.found(head, loss, &labels, Reduction::Mean, false);
    assert_eq!(of(&loss, Head::Auto), of(&SquaredError, Head::Dense));
}
