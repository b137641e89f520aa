//! Weight updates: libtorch's steps, rows that wait, and rows that move with the loss.

use masked_loss::{BceWithLogits, Head, Linear, Loss, Missing, Optimizer, Reduction, Rule, SoftmaxCrossEntropy};
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};

use crate::common::layer::{Layer, labels};
use crate::common::learner::Learner;
use crate::common::{numbers, rng, tensor, uniform};

const RULES: [Rule; 3] = [Rule::Sgd { momentum: 0.9 }, Rule::ADAM, Rule::ADAM_W];
const DECAYS: [f64; 2] = [0.0, 0.01];

fn trained(size: &[i64], seed: u64, kind: Kind) -> Tensor {
    let cells = uniform(&mut rng(seed), size.iter().product(), -1.0..1.0);
    tensor(&cells, size).to_kind(kind).set_requires_grad(true)
}

/// Sets a weight's gradient to `gradient`.
fn set_gradient(weight: &Tensor, gradient: &Tensor) {
    let mut found = weight.grad();
    if found.defined() {
        let _ = found.zero_();
    }
    (weight * gradient).sum(weight.kind()).backward();
}

/// Sets a sparse gradient, for some rows.
fn set_rows(weight: &Tensor, rows: &[i64], gradient: &Tensor) {
    let mut found = weight.grad();
    if found.defined() {
        let _ = found.zero_();
    }
    let index = Tensor::from_slice(rows).to_device(weight.device());
    (Tensor::embedding(weight, &index, -1, false, true) * gradient).sum(weight.kind()).backward();
    assert!(weight.grad().is_sparse());
}

/// libtorch's own optimizer, for a copy of a weight.
fn libtorch(rule: Rule, decay: f64, weight: &Tensor) -> (Tensor, nn::Optimizer) {
    let mut store = nn::VarStore::new(weight.device());
    let _ = store.root().zeros("weight", &weight.size());
    store.set_kind(weight.kind());
    let own = store.variables().remove("weight").unwrap();
    tch::no_grad(|| own.shallow_clone().copy_(weight));
    let optimizer = match rule {
        Rule::Sgd { momentum } => nn::Sgd { momentum, wd: decay, ..Default::default() }.build(&store, 1.0),
        Rule::Adam { .. } => nn::Adam { wd: decay, ..Default::default() }.build(&store, 1.0),
        _ => nn::AdamW { wd: decay, ..Default::default() }.build(&store, 1.0),
    };
    (own, optimizer.unwrap())
}

fn each_rule(check: impl Fn(Rule, f64)) {
    for rule in RULES {
        DECAYS.into_iter().for_each(|decay| check(rule, decay));
    }
}

#[test]
fn steps_are_those_of_libtorch() {
    for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 3e-6)] {
        each_rule(|rule, decay| {
            let ours = trained(&[7, 300], 1, kind);
            // Not contiguous, so libtorch's operations move it.
            let strided = ours.detach().tr().contiguous().tr().set_requires_grad(true);
            assert!(!strided.is_contiguous());
            let (theirs, mut expected) = libtorch(rule, decay, &ours);
            let mut found = Optimizer::new(rule, decay, &[ours.shallow_clone(), strided.shallow_clone()]).unwrap();
            for step in 0..20 {
                let gradient = trained(&[7, 300], 100 + step, kind).detach();
                [&ours, &strided, &theirs].into_iter().for_each(|weight| set_gradient(weight, &gradient));
                let rate = 0.1 / (1.0 + step as f64);
                expected.set_lr(rate);
                expected.step();
                found.step(rate).unwrap();
            }
            for weight in [ours, strided] {
                let largest = (&weight - &theirs).abs().max().double_value(&[]);
                assert!(largest < tolerance, "{rule:?}, {decay}, {kind:?}: {largest}");
            }
        });
    }
}

#[test]
fn lazy_steps_are_those_of_sparse_adam() {
    let steps: [(&[i64], &[f64]); 4] = [
        (&[0, 2], &[0.5, -1.0, 0.25, 2.0]),
        (&[2], &[-1.0, 0.5]),
        (&[0], &[0.125, 0.75]),
        (&[0, 1], &[1.0, 1.0, -0.5, 0.25]),
    ];
    // torch.optim.SparseAdam of PyTorch 2.13 in double precision, at a rate of 0.1.
    let expected = [
        0.7502927168132305,
        -1.9237494394016865,
        0.5581127994654338,
        0.19188723728828125,
        2.9559504587294505,
        0.816940275190619,
    ];
    let start = tensor(&[1.0, -2.0, 0.5, 0.25, 3.0, 1.0], &[3, 2]);
    let contiguous = start.copy().set_requires_grad(true);
    let strided = start.tr().contiguous().tr().set_requires_grad(true);
    for weight in [contiguous, strided] {
        let mut optimizer = Optimizer::new(Rule::ADAM, 0.0, &[weight.shallow_clone()]).unwrap();
        for (rows, gradient) in steps {
            set_rows(&weight, rows, &tensor(gradient, &[rows.len() as i64, 2]));
            optimizer.step(0.1).unwrap();
        }
        // Its ε is added before the bias correction of the moments.
        let found = numbers(&weight);
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
    }
}

#[test]
fn weights_that_catch_up_have_the_bits_of_dense_steps() {
    for kind in [Kind::Float, Kind::Double] {
        each_rule(|rule, decay| {
            let (mut dense, mut sparse) = (Learner::new(rule, decay, kind), Learner::new(rule, decay, kind));
            sparse.optimizer = sparse.optimizer.with_catch_up();
            for time in 0..60 {
                dense.step(Head::Observed, false, time);
                sparse.step(Head::Observed, true, time);
                // Interrupt the run with calls that catch rows up.
                match time {
                    20 => sparse.optimizer.catch_up_all().unwrap(),
                    40 => {
                        let state = sparse.optimizer.state().unwrap();
                        assert_eq!(state.len(), 2);
                        sparse.optimizer.restore(41, &state).unwrap();
                    }
                    _ => {}
                }
            }
            assert_ne!(dense.bits(), sparse.bits(), "{rule:?}: no row waits");
            sparse.optimizer.catch_up_all().unwrap();
            assert_eq!(dense.bits(), sparse.bits(), "{rule:?}, {decay}, {kind:?}");
        });
    }
}

#[test]
fn a_dense_gradient_finds_all_rows_up_to_date() {
    each_rule(|rule, decay| {
        let (mut dense, mut sparse) = (Learner::new(rule, decay, Kind::Float), Learner::new(rule, decay, Kind::Float));
        sparse.optimizer = sparse.optimizer.with_catch_up();
        for time in 0..9 {
            dense.step(Head::Observed, false, time);
            sparse.step(Head::Observed, time < 8, time);
        }
        assert!(!sparse.layer.weight.grad().is_sparse());
        assert_eq!(dense.bits(), sparse.bits(), "{rule:?}, {decay}");
    });
}

#[test]
fn rows_that_a_gradient_has_twice_and_in_any_order_are_added_up() {
    for rows in [[2i64, 0, 2], [1, 1, 3]] {
        let [twice, whole] = [(); 2].map(|()| trained(&[4, 3], 7, Kind::Double));
        let gradient = trained(&[3, 3], 8, Kind::Double).detach();
        let rows = Tensor::from_slice(&rows).to_device(whole.device());
        let mut optimizer =
            Optimizer::new(Rule::Sgd { momentum: 0.9 }, 0.0, &[&twice, &whole].map(Tensor::shallow_clone)).unwrap();
        for _ in 0..3 {
            optimizer.zero_grad().unwrap();
            (Tensor::embedding(&twice, &rows, -1, false, true) * &gradient).sum(Kind::Double).backward();
            (Tensor::embedding(&whole, &rows, -1, false, false) * &gradient).sum(Kind::Double).backward();
            assert!(twice.grad().is_sparse() && !whole.grad().is_sparse());
            optimizer.step(0.1).unwrap();
        }
        assert!((&twice - &whole).abs().max().double_value(&[]) < 1e-15);
    }
}

#[test]
fn weights_of_labels_that_nobody_observed_keep_their_bits() {
    each_rule(|rule, decay| {
        let mut learner = Learner::new(rule, decay, Kind::Float);
        // Gives every row an optimizer state.
        learner.update(Head::Chunked, &labels(1, [6, 30], 1.0, false), 0.1);
        for time in 0..10 {
            let observed = Vec::<i64>::try_from(Learner::batch(time).observed_per_label().unwrap()).unwrap();
            let before = learner.bits();
            learner.step(Head::Observed, true, time);
            let after = learner.bits();
            for (label, count) in observed.into_iter().enumerate() {
                let of = |bits: &[Vec<u64>; 2]| [bits[0][8 * label..][..8].to_vec(), vec![bits[1][label]]].concat();
                assert_eq!(of(&before) == of(&after), count == 0, "{rule:?}, step {time}, label {label}");
            }
        }
    });
}

#[test]
fn a_layer_that_moves_with_its_loss_moves_as_by_its_gradient() {
    for (head, sparse) in [(Head::Observed, true), (Head::Chunked, false)] {
        each_rule(|rule, decay| {
            let (mut apart, mut together) =
                (Learner::new(rule, decay, Kind::Float), Learner::new(rule, decay, Kind::Float));
            for time in 0..10 {
                let labels = Learner::batch(time);
                let rate = 0.1 / (1.0 + time as f64);
                apart.optimizer.zero_grad().unwrap();
                let linear = apart.linear(head, sparse);
                let loss = BceWithLogits::default();
                let loss = loss.forward_linear(&apart.layer.hidden, &linear, &labels, Reduction::Mean).unwrap();
                loss.backward();
                apart.optimizer.step(rate).unwrap();
                assert_eq!(together.update(head, &labels, rate), loss.double_value(&[]));
                assert!(!together.layer.weight.grad().defined() && !together.layer.bias.grad().defined());
            }
            assert_eq!(apart.bits(), together.bits(), "{rule:?}, {head:?}");
            let hidden = [&apart, &together].map(|learner| numbers(&learner.layer.hidden.grad()));
            for (found, expected) in hidden[1].iter().zip(&hidden[0]) {
                match head {
                    // Without an update, labels before the first and after the last observed one are left out of the
                    // product that gives the hidden gradient, and a product of another size rounds in another order.
                    Head::Chunked => approx::assert_relative_eq!(found, expected, epsilon = 1e-7, max_relative = 1e-6),
                    _ => assert_eq!(found, expected, "{rule:?}, {head:?}"),
                }
            }
        });
    }
}

#[test]
fn a_layer_that_moves_with_its_loss_catches_up() {
    each_rule(|rule, decay| {
        let (mut dense, mut sparse) = (Learner::new(rule, decay, Kind::Float), Learner::new(rule, decay, Kind::Float));
        sparse.optimizer = sparse.optimizer.with_catch_up();
        for time in 0..30 {
            let (labels, rate) = (Learner::batch(time), 0.1 / (1.0 + time as f64));
            dense.optimizer.zero_grad().unwrap();
            let linear = dense.linear(Head::Observed, false);
            let loss = BceWithLogits::default();
            loss.forward_linear(&dense.layer.hidden, &linear, &labels, Reduction::Mean).unwrap().backward();
            dense.optimizer.step(rate).unwrap();
            sparse.update(Head::Observed, &labels, rate);
        }
        sparse.optimizer.catch_up_all().unwrap();
        assert_eq!(dense.bits(), sparse.bits(), "{rule:?}");
    });
}

#[test]
fn a_layer_moves_whether_or_not_gradients_are_recorded() {
    let moved = |head, recorded: bool| {
        let mut learner = Learner::new(Rule::ADAM, 0.0, Kind::Float);
        let update = learner.optimizer.update(0.1).unwrap();
        let Layer { hidden, weight, bias } = &learner.layer;
        let linear = Linear::new(weight, Some(bias)).with_head(head).with_update(&update);
        let bce = BceWithLogits::default();
        let run = || bce.forward_linear(hidden, &linear, &Learner::batch(1), Reduction::Mean).unwrap();
        let loss = if recorded { run() } else { tch::no_grad(run) };
        assert_eq!(loss.requires_grad(), recorded);
        update.finish().unwrap();
        learner.bits()
    };
    for head in [Head::Observed, Head::Chunked] {
        assert!(moved(head, true) == moved(head, false), "{head:?}");
    }
}

#[test]
fn what_cannot_move_is_refused() {
    let mut learner = Learner::new(Rule::ADAM, 0.0, Kind::Float);
    let batch = Learner::batch(0);
    let stranger = learner.layer.tracked();
    let update = learner.optimizer.update(0.1).unwrap();
    let Layer { hidden, weight, bias } = &learner.layer;
    let own = Linear::new(weight, Some(bias)).with_update(&update);
    let bce = BceWithLogits::default();
    let fault = |loss: &dyn Loss, linear: &Linear<'_>, reduction| {
        loss.forward_linear(hidden, linear, &batch, reduction).unwrap_err().to_string()
    };
    let strange = Linear::new(&stranger.weight, Some(bias)).with_update(&update).with_head(Head::Observed);
    let expected = "weight: it is not one of the optimizer's parameters, so `Linear::update` cannot move it";
    assert_eq!(fault(&bce, &strange, Reduction::Mean), expected);
    assert_eq!(fault(&bce, &strange.with_head(Head::Chunked), Reduction::Mean), expected);
    let dense = own.with_head(Head::Dense);
    assert!(fault(&bce, &dense, Reduction::Mean).starts_with("Head::Dense computes gradients that move no weight"));
    assert!(fault(&bce, &own, Reduction::None).starts_with("Head::Auto has no loss for each entry"));
    assert!(
        fault(&SoftmaxCrossEntropy::default(), &own, Reduction::Mean).starts_with("Head::Auto with an update needs")
    );
    let sum = bce.sum_and_weight_linear(hidden, &own, &batch, Reduction::Mean).unwrap_err().to_string();
    assert!(sum.starts_with("Head::Auto moves weights by a mean"), "{sum}");
    let _ = bce.forward_linear(hidden, &own, &batch, Reduction::Mean).unwrap();
    assert!(fault(&bce, &own, Reduction::Mean).contains("has moved in this step already"));
    // A loss that counts missing entries also moves its layer.
    let negative = bce.with_missing(Missing::Negative);
    assert!(fault(&negative, &own, Reduction::Mean).contains("has moved in this step already"));

    let refused =
        |rule, decay| Optimizer::new(rule, decay, &[stranger.weight.shallow_clone()]).unwrap_err().to_string();
    assert!(refused(Rule::ADAM, -1.0).starts_with("weight_decay: expected a finite number of at least"));
    assert!(refused(Rule::Sgd { momentum: -0.5 }, 0.0).starts_with("momentum: expected"));
    let whole = Tensor::zeros([3], (Kind::Int64, Device::Cpu));
    let found = Optimizer::new(Rule::ADAM, 0.0, &[whole]).unwrap_err().to_string();
    assert_eq!(found, "parameters: expected f64, f32, f16 or bf16, found Int64");
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.0, &[stranger.bias.shallow_clone()]).unwrap();
    assert!(optimizer.step(f64::NAN).unwrap_err().to_string().starts_with("rate: expected"));
    let found = optimizer.restore(1, &[vec![stranger.bias.shallow_clone()]]).unwrap_err().to_string();
    assert!(found.starts_with("state: expected shape [[30], [30]]"), "{found}");
}
