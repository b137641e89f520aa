//! Missing entries that a policy counts: losses, gradients and denominators are those of complete labels.

use masked_loss::{BceWithLogits, Labels, Loss, Missing, Weights};
use rand::Rng;
use tch::{Kind, Tensor};

use crate::common::{REDUCTIONS, backends, backward, device, rng, uniform};

fn cpu(numbers: &[f64], size: &[i64]) -> Tensor {
    Tensor::from_slice(numbers).view(size)
}

#[test]
fn what_is_assumed_to_be_negative_counts_as_a_negative() {
    let (mut rng, size) = (rng(17), [6i64, 5]);
    let missing: Vec<bool> = (0..30).map(|_| rng.random_bool(0.6)).collect();
    let known: Vec<f64> = (0..30).map(|_| f64::from(rng.random_range(0..2u8))).collect();
    let or = |numbers: &[f64], other: f64| -> Vec<f64> {
        missing.iter().zip(numbers).map(|(&missing, &number)| if missing { other } else { number }).collect()
    };
    let partial = Labels::from_nan(&cpu(&or(&known, f64::NAN), &size)).unwrap();
    let complete = Labels::complete(&cpu(&or(&known, 0.0), &size)).unwrap();
    let [of_rows, of_labels, of_entries] = [6, 5, 30].map(|count| uniform(&mut rng, count, 0.5..2.0));
    let x = cpu(&uniform(&mut rng, 30, -4.0..4.0), &size).to_device(device());
    let index = Tensor::from_slice(&[4i64, 1, 1, 5]);

    let (loss, assumed) = (BceWithLogits::default(), BceWithLogits::default().with_missing(Missing::Negative));
    for case in 0..32 {
        let [of_row, of_label, of_entry, is_batch, is_sparse] = [0, 1, 2, 3, 4].map(|bit| case >> bit & 1 == 1);
        // A missing entry has no weight of its own.
        let prepared = |labels: &Labels, of_entries: &[f64]| {
            let mut labels = if is_sparse { labels.to_sparse().unwrap() } else { labels.clone() };
            let weights = [
                (of_row, Weights::PerRow(&cpu(&of_rows, &[6]))),
                (of_label, Weights::PerLabel(&cpu(&of_labels, &[5]))),
                (of_entry, Weights::PerEntry(&cpu(of_entries, &size))),
            ];
            for (_, weights) in weights.into_iter().filter(|(given, _)| *given) {
                labels = labels.with_weights(weights).unwrap();
            }
            labels = if is_batch { labels.rows(&index).unwrap() } else { labels };
            labels.to_device(device()).unwrap()
        };
        let partial = prepared(&partial, &or(&of_entries, f64::NAN));
        let complete = prepared(&complete, &or(&of_entries, 1.0));
        let x = if is_batch { x.index_select(0, &index.to_device(device())) } else { x.shallow_clone() };
        for (reduction, backend) in REDUCTIONS.into_iter().flat_map(|reduction| backends().map(move |b| (reduction, b)))
        {
            let of = |loss: &dyn Loss, labels: &Labels| {
                backward(&x, 0.5, |x| loss.forward_on(backend, x, labels, reduction).unwrap().sum(Kind::Double))
            };
            let (found, expected) = (of(&assumed, &partial), of(&loss, &complete));
            let numbers = |(value, gradient): (Vec<f64>, Vec<f64>)| [value, gradient].concat();
            for (found, expected) in numbers(found).into_iter().zip(numbers(expected)) {
                let what = format!("{backend:?}, {reduction:?}, case {case:05b}");
                assert!((found - expected).abs() <= 1e-13 * expected.abs(), "{what}: {found} for {expected}");
            }
        }
    }
}
