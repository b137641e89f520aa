//! Every denominator, compared with its definition in terms of the loss of each entry.

use crate::common::{Case, REDUCTIONS, backends, losses, numbers, rng, tensor, uniform, value_and_gradient, vector};
use masked_loss::{BceWithLogits, Error, Labels, Loss, Missing, Reduction, Weights};
use tch::Kind;

const ROWS: usize = 5;
const COLUMNS: usize = 4;

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Takes the mean of each group's entries that count, then the mean of the means.
fn mean_of_means(entry: &[f64], counts: &[bool], group: impl Fn(usize) -> usize, groups: usize) -> f64 {
    let of = |wanted| -> Vec<f64> {
        (0..entry.len()).filter(|&i| counts[i] && group(i) == wanted).map(|i| entry[i]).collect()
    };
    mean(&(0..groups).filter_map(|wanted| mean(&of(wanted))).collect::<Vec<_>>()).unwrap_or(0.0)
}

fn expected(reduction: Reduction, entry: &[f64], counts: &[bool], weight: &[f64]) -> f64 {
    let sum: f64 = entry.iter().sum();
    let counted = |value: &dyn Fn(usize) -> f64| (0..entry.len()).filter(|&i| counts[i]).map(value).sum::<f64>();
    match reduction {
        Reduction::Sum => sum,
        Reduction::Mean => sum / counted(&|_| 1.0).max(1.0),
        Reduction::MeanAll => sum / entry.len() as f64,
        Reduction::MeanPerRow => mean_of_means(entry, counts, |i| i / COLUMNS, ROWS),
        Reduction::MeanPerLabel => mean_of_means(entry, counts, |i| i % COLUMNS, COLUMNS),
        Reduction::WeightedMean => sum / counted(&|i| weight[i]),
        Reduction::MeanOver(count) => sum / count,
        _ => unreachable!("{reduction:?} is no number"),
    }
}

#[test]
fn every_denominator_is_what_it_says() {
    let mut rng = rng(31);
    for named in losses(COLUMNS) {
        let mut case = Case::draw(&mut rng, &named, &[ROWS as i64, COLUMNS as i64], 0.6, false);
        // A row and a label without observed entries.
        (0..COLUMNS).for_each(|i| case.observed[2 * COLUMNS + i] = false);
        (0..ROWS).for_each(|i| case.observed[i * COLUMNS + 1] = false);
        let weight = uniform(&mut rng, (ROWS * COLUMNS) as i64, 0.5..2.0);
        let weights = tensor(&weight, &case.size);
        let labels = || case.labels().with_weights(Weights::PerEntry(&weights)).unwrap();
        let input = case.input(Kind::Double);
        for backend in backends() {
            let (entry, slope) = value_and_gradient(&named, backend, &input, &labels(), Reduction::None, 1.0);
            for reduction in REDUCTIONS.into_iter().filter(|&reduction| reduction != Reduction::None) {
                let (value, gradient) = value_and_gradient(&named, backend, &input, &labels(), reduction, 1.0);
                let expected = |entry: &[f64]| expected(reduction, entry, &case.observed, &weight);
                approx::assert_relative_eq!(value[0], expected(&entry), max_relative = 1e-13);
                for (i, gradient) in gradient.into_iter().enumerate() {
                    // Reductions are linear: an entry's gradient is the reduction of its slope with zeros elsewhere.
                    let alone: Vec<f64> = (0..entry.len()).map(|j| if i == j { slope[j] } else { 0.0 }).collect();
                    approx::assert_relative_eq!(gradient, expected(&alone), max_relative = 1e-13);
                }
            }
        }
    }
}

#[test]
fn with_something_assumed_of_them_missing_entries_count() {
    let logits = vector(&[0.5, -1.0, 2.0, 0.25]).view([2, 2]);
    let labels = Labels::from_nan(&vector(&[1.0, f64::NAN, f64::NAN, f64::NAN]).view([2, 2])).unwrap();
    let complete = Labels::complete(&vector(&[1.0, 0.0, 0.0, 0.0]).view([2, 2])).unwrap();
    let assumed = BceWithLogits::default().with_missing(Missing::Negative);
    for backend in backends() {
        for reduction in REDUCTIONS {
            let found = assumed.forward_on(backend, &logits, &labels, reduction).unwrap();
            let known = BceWithLogits::default().forward_on(backend, &logits, &complete, reduction).unwrap();
            assert_eq!(numbers(&found), numbers(&known), "{backend:?}, {reduction:?}");
            let [(s, w), (known_s, known_w)] = [
                assumed.sum_and_weight(&logits, &labels, reduction).unwrap(),
                BceWithLogits::default().sum_and_weight(&logits, &complete, reduction).unwrap(),
            ];
            assert_eq!((numbers(&s), numbers(&w)), (numbers(&known_s), numbers(&known_w)));
        }
    }
}

#[test]
fn a_count_that_cannot_divide_is_an_error() {
    let labels = Labels::complete(&vector(&[1.0])).unwrap();
    for count in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let found = BceWithLogits::default().forward(&vector(&[0.5]), &labels, Reduction::MeanOver(count));
        assert!(matches!(found, Err(Error::Range { argument: "Reduction::MeanOver", .. })), "{found:?}");
    }
}

#[test]
fn weights_that_add_up_to_nothing_give_zero() {
    let labels = Labels::complete(&vector(&[1.0, 0.0])).unwrap();
    let labels = labels.with_weights(Weights::PerLabel(&vector(&[0.0, 0.0]))).unwrap();
    for backend in backends() {
        let loss = BceWithLogits::default();
        let found = loss.forward_on(backend, &vector(&[0.5, 1.0]), &labels, Reduction::WeightedMean).unwrap();
        assert_eq!(numbers(&found), [0.0]);
    }
}

#[test]
fn the_mean_over_observed_entries_is_the_default() {
    assert_eq!(Reduction::default(), Reduction::Mean);
}
