//! The promises of every head over the catalogue: zero, compaction, empty, partition, honesty; and logits without a
//! loss.

use masked_loss::{Error, Head, Labels, Linear, Reduction};
use rand::Rng;
use tch::{Kind, Tensor};

use crate::common::layer::{Layer, REDUCED, close, labels};
use crate::common::{GARBAGE, losses, losses_alike_for_all_labels, numbers, rng};

const HEADS: [Head; 3] = [Head::Dense, Head::Chunked, Head::Observed];

#[test]
fn the_loss_is_that_of_the_observed_logits_taken_out() {
    let mut rng = rng(31);
    for draw in 0..150 {
        let losses = losses_alike_for_all_labels();
        let named = &losses[draw as usize % losses.len()];
        let size = [rng.random_range(1..=40), rng.random_range(1..=40), rng.random_range(1..=20)];
        let layer = Layer::draw(draw, named, size, Kind::Double);
        let labels = labels(draw, [size[0], size[1]], rng.random_range(0.0..=1.0), draw % 2 == 1);
        let linear = Linear::new(&layer.weight, Some(&layer.bias));
        let all = linear.logits(&layer.hidden).unwrap();
        let observed = labels.observed().unwrap();
        let [logits, values] = [&all, &labels.values().unwrap()].map(|matrix| matrix.masked_select(&observed));
        let taken = Labels::complete(&values).unwrap();
        for reduction in [Reduction::Sum, Reduction::Mean, Reduction::MeanOver(3.5)] {
            let expected = named.loss.forward(&logits, &taken, reduction).unwrap().double_value(&[]);
            for head in HEADS {
                let linear = linear.with_head(head);
                let found = named.loss.forward_linear(&layer.hidden, &linear, &labels, reduction);
                approx::assert_relative_eq!(found.unwrap().double_value(&[]), expected, max_relative = 1e-12);
            }
        }
    }
}

#[test]
fn an_observed_logit_that_is_nan_shows_and_a_missing_one_does_not() {
    for named in losses(9) {
        let layer = Layer::draw(32, &named, [6, 9, 4], Kind::Float);
        let values = labels(33, [6, 9], 0.5, false).values().unwrap();
        // Nobody observes label 3, and row 2 observes label 4.
        let _ = values.narrow(1, 3, 1).fill_(f64::NAN);
        let _ = values.narrow(0, 2, 1).narrow(1, 4, 1).fill_(1.0);
        let labels = Labels::from_nan(&values).unwrap();
        for head in HEADS {
            let of = |label: i64| {
                let bias = layer.bias.copy();
                let _ = bias.narrow(0, label, 1).fill_(f64::NAN);
                let linear = Linear::new(&layer.weight, Some(&bias)).with_head(head);
                let loss = named.loss.forward_linear(&layer.hidden, &linear, &labels, Reduction::Mean);
                loss.map(|loss| loss.double_value(&[]))
            };
            assert!(of(3).unwrap().is_finite(), "{}, {head:?}", named.name);
            assert!(of(4).is_ok_and(f64::is_nan), "{}, {head:?}: {:?}", named.name, of(4));
        }
    }
}

#[test]
fn what_a_loss_does_not_accept_is_an_error_of_every_head() {
    for named in losses(9) {
        let layer = Layer::draw(34, &named, [6, 9, 4], Kind::Float);
        let cells = Tensor::zeros([6, 9], (Kind::Float, layer.weight.device()));
        let good = Labels::complete(&cells).unwrap();
        let _ = cells.narrow(0, 1, 1).narrow(1, 7, 1).fill_(-1e9);
        let bad = Labels::complete(&cells).unwrap();
        for head in HEADS {
            let of = |labels: &Labels, scale: f64| {
                let weight = &layer.weight * scale;
                let linear = Linear::new(&weight, Some(&layer.bias)).with_head(head);
                named.loss.forward_linear(&layer.hidden, &linear, labels, Reduction::Mean)
            };
            let what = format!("{}, {head:?}", named.name);
            assert!(of(&good, 1.0).is_ok(), "{what}");
            let is_bounded = !named.label_range.contains(&-1e9);
            assert_eq!(matches!(of(&bad, 1.0), Err(Error::Range { argument: "labels", .. })), is_bounded, "{what}");
            let is_bounded = !named.input_range.contains(&-8.0);
            let found = of(&good, 1e4);
            assert_eq!(matches!(found, Err(Error::Range { argument: "probabilities", .. })), is_bounded, "{what}");
        }
    }
}

#[test]
fn observed_logits_are_those_of_all_logits() {
    for (kind, epsilon) in [(Kind::Double, 1e-14), (Kind::Float, 1e-6), (Kind::BFloat16, 0.02)] {
        let layer = Layer::draw(5, &losses(9)[0], [30, 9, 33], kind).tracked();
        let labels = labels(6, [30, 9], 0.3, false);
        for bias in [None, Some(&layer.bias)] {
            let linear = Linear::new(&layer.weight, bias);
            let all = linear.logits(&layer.hidden).unwrap();
            let expected = numbers(&all.masked_select(&labels.observed().unwrap()));
            for labels in [&labels, &labels.to_sparse().unwrap()] {
                let found = linear.observed_logits(&layer.hidden, labels).unwrap();
                assert!(
                    !found.requires_grad() && found.kind() == if kind == Kind::Double { kind } else { Kind::Float }
                );
                let found = numbers(&found);
                assert_eq!(found.len(), expected.len());
                let close = |(a, b): (&f64, &f64)| (a - b).abs() < epsilon * (1.0 + b.abs());
                assert!(found.iter().zip(&expected).all(close), "{kind:?}");
            }
        }
        let wrong = Linear::new(&layer.weight, None).observed_logits(&layer.hidden.narrow(0, 0, 3), &labels);
        assert!(wrong.unwrap_err().to_string().starts_with("hidden: expected shape"));
    }
}

#[test]
fn weights_in_half_precision_are_read_where_they_lie_and_computed_with_in_single() {
    for kind in [Kind::BFloat16, Kind::Half] {
        let half = Layer::draw(7, &losses(9)[0], [12, 9, 70], kind);
        let [hidden, weight, bias] = [&half.hidden, &half.weight, &half.bias].map(|tensor| tensor.to_kind(Kind::Float));
        let (single, labels) = (Layer { hidden, weight, bias }, labels(8, [12, 9], 0.4, false));
        for named in losses(9).iter().filter(|named| named.input_range.contains(&-8.0)) {
            for sparse in [false, true] {
                let [found, expected] = [&half, &single]
                    .map(|layer| layer.found(Head::Observed, &*named.loss, &labels, Reduction::Mean, sparse));
                let rounded = |exact: &Vec<f64>| numbers(&Tensor::from_slice(exact).to_kind(kind));
                // Gradients are rounded to the weights' type at the end.
                assert_eq!(found[1..], [1, 2, 3].map(|place| rounded(&expected[place])), "{}, {kind:?}", named.name);
            }
        }
    }
}

#[test]
fn long_runs_of_labels_that_nobody_observed_are_skipped_by_chunks() {
    // Labels 0 to 9, 80 and 300 to 319 are observed.
    let named = &losses(9)[0];
    let layer = Layer::draw(9, named, [5, 400, 6], Kind::Double);
    let values = labels(10, [5, 400], 1.0, true).values().unwrap();
    for [start, end] in [[10, 80], [81, 300], [320, 400]] {
        let _ = values.narrow(1, start, end - start).fill_(f64::NAN);
    }
    let labels = Labels::from_nan(&values).unwrap();
    let expected = layer.found(Head::Dense, &*named.loss, &labels, Reduction::Mean, false);
    // A NaN logit would make the gradient of hidden NaN too.
    let weight = layer.weight.copy();
    for [start, end] in [[10, 80], [81, 300], [320, 400]] {
        let _ = weight.narrow(0, start, end - start).fill_(f64::NAN);
    }
    let spoilt = Layer { weight, hidden: layer.hidden.shallow_clone(), bias: layer.bias.shallow_clone() };
    for labels in [&labels, &labels.to_sparse().unwrap()] {
        let found = spoilt.found(Head::Chunked, &*named.loss, labels, Reduction::Mean, false);
        close("chunked", &found, &expected, f64::EPSILON);
    }
}

#[test]
fn a_missing_entry_adds_nothing_to_loss_or_gradients() {
    for named in losses(9) {
        let layer = Layer::draw(35, &named, [6, 9, 4], Kind::Double);
        let values = labels(36, [6, 9], 0.5, true).values().unwrap();
        // Nobody observes label 3.
        let _ = values.narrow(1, 3, 1).fill_(f64::NAN);
        let labels = Labels::from_nan(&values).unwrap();
        for (head, garbage) in HEADS.into_iter().flat_map(|head| GARBAGE.map(|garbage| (head, garbage))) {
            let found = |garbage: f64| {
                let bias = layer.bias.copy();
                let _ = bias.narrow(0, 3, 1).fill_(garbage);
                let spoilt = Layer { hidden: layer.hidden.shallow_clone(), weight: layer.weight.shallow_clone(), bias };
                spoilt.found(head, &*named.loss, &labels, Reduction::Mean, false)
            };
            let [loss, hidden, weight, bias] = found(garbage);
            assert!(weight[3 * 4..4 * 4].iter().chain(&bias[3..4]).all(|&number| number == 0.0), "{}", named.name);
            assert_eq!([loss, hidden, weight, bias], found(0.5), "{}, {head:?}, {garbage}", named.name);
        }
    }
}

#[test]
fn where_nothing_is_observed_loss_and_gradients_are_zero() {
    for named in losses(9) {
        let layer = Layer::draw(37, &named, [6, 9, 4], Kind::Float);
        let none = labels(38, [6, 9], 0.0, false);
        for (head, reduction) in HEADS.into_iter().flat_map(|head| REDUCED.map(|reduction| (head, reduction))) {
            let found = layer.found(head, &*named.loss, &none, reduction, false);
            let all_zero = found.iter().flatten().all(|&number| number == 0.0);
            assert!(all_zero, "{}, {head:?}, {reduction:?}: {found:?}", named.name);
        }
    }
}

#[test]
fn pairs_of_micro_batches_add_up_to_that_of_the_batch() {
    for named in losses(9) {
        let layer = Layer::draw(39, &named, [12, 9, 8], Kind::Double);
        let labels = labels(40, [12, 9], 0.3, true);
        for (head, reduction) in HEADS
            .into_iter()
            .flat_map(|head| [Reduction::Mean, Reduction::MeanPerRow].map(|reduction| (head, reduction)))
        {
            let linear = Linear::new(&layer.weight, Some(&layer.bias)).with_head(head);
            let pair = |rows: &[i64]| {
                let index = Tensor::from_slice(rows);
                let (hidden, labels) = (layer.hidden.index_select(0, &index), labels.rows(&index).unwrap());
                let (sum, weight) = named.loss.sum_and_weight_linear(&hidden, &linear, &labels, reduction).unwrap();
                [sum, weight].map(|number| number.double_value(&[]))
            };
            let parts = [&[0, 1, 2, 3, 4, 5, 6][..], &[7], &[8, 9, 10, 11]].map(pair);
            let whole = pair(&(0..12).collect::<Vec<_>>());
            for place in [0, 1] {
                let sum: f64 = parts.iter().map(|part| part[place]).sum();
                approx::assert_relative_eq!(sum, whole[place], max_relative = 1e-12);
            }
        }
    }
}
