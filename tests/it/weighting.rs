//! Weights that follow from the labels: numbers worked out by hand, observed through the losses that they multiply.

use crate::common::{here, numbers, tensor, vector};
use masked_loss::{BceWithLogits, Error, Labels, Loss, PartialBce, Propensity, Reduction, UnbiasedBce, Weights};
use tch::{Kind, Tensor};

const NONE: f64 = f64::NAN;

fn labels(cells: &[f64], columns: i64) -> Labels {
    Labels::from_nan(&tensor(cells, &[-1, columns])).unwrap()
}

/// The weight of each entry, 0 where missing: at a logit of 0 the loss is ln 2 for both classes.
fn weights(labels: &Labels) -> Vec<f64> {
    let logits = Tensor::zeros(labels.size(), here(Kind::Double));
    let loss = BceWithLogits::default().forward(&logits, labels, Reduction::None).unwrap();
    numbers(&(loss / 2f64.ln()))
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        approx::assert_relative_eq!(found, expected, max_relative = 2e-7);
    }
}

#[rustfmt::skip]
const TABLE: [f64; 15] = [
    1.0,  1.0,  NONE,
    0.0,  1.0,  NONE,
    0.0,  NONE, NONE,
    0.0,  NONE, 0.0,
    NONE, 1.0,  1.0,
];

#[test]
fn balanced_classes_weigh_the_same() {
    // The weights of DeepChem 2.8's BalancingTransformer for this table: N_task / N_class over the entries of non-zero
    // weight, so 4/1 and 4/3 for the first task; 3/3 for the second, which has one class; 2/1 twice for the third.
    let (one, zero) = (4.0, 4.0 / 3.0);
    #[rustfmt::skip]
    let expected = [
        one,  1.0, 0.0,
        zero, 1.0, 0.0,
        zero, 0.0, 0.0,
        zero, 0.0, 2.0,
        0.0,  1.0, 2.0,
    ];
    let balanced = labels(&TABLE, 3).with_balanced_weights().unwrap();
    close(&weights(&balanced), &expected);

    // In a batch, an entry keeps its weight from the table.
    let batch = balanced.rows(&vector(&[4i64, 0])).unwrap();
    close(&weights(&batch), &[0.0, 1.0, 2.0, one, 1.0, 0.0]);

    // In addition to weights already set; labels stored as numbers give the same as labels stored in bytes.
    let rows = vector(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let chained = labels(&TABLE, 3).with_weights(Weights::PerRow(&rows)).unwrap().with_balanced_weights().unwrap();
    let product: Vec<f64> = expected.iter().enumerate().map(|(i, weight)| weight * (1 + i / 3) as f64).collect();
    close(&weights(&chained), &product);
    let mut soft = TABLE.to_vec();
    soft.extend([0.5, NONE, NONE]);
    let held_as_numbers = labels(&soft, 3).rows(&Tensor::arange(5, here(Kind::Int64))).unwrap();
    close(&weights(&held_as_numbers.with_balanced_weights().unwrap()), &expected);
}

#[test]
fn partial_bce_weighs_rows_by_what_is_known_of_them() {
    // Shares 1, 2/3, 1/3, 0 of three labels; g(r) = 5.45 − 4.45·r.
    #[rustfmt::skip]
    let table = [
        1.0,  0.0,  1.0,
        1.0,  NONE, 0.0,
        NONE, 0.0,  NONE,
        NONE, NONE, NONE,
    ];
    let published = |labels: Labels| labels.with_partial_bce_weights(PartialBce::default()).unwrap();
    let (two, one) = (5.45 - 4.45 * 2.0 / 3.0, 5.45 - 4.45 / 3.0);
    #[rustfmt::skip]
    let expected = [
        1.0, 1.0, 1.0,
        two, 0.0, two,
        0.0, one, 0.0,
        0.0, 0.0, 0.0,
    ];
    close(&weights(&published(labels(&table, 3))), &expected);
    // A tenth observed: 5.005.
    let mut tenth = [NONE; 10];
    tenth[3] = 1.0;
    close(&weights(&published(labels(&tenth, 10)))[3..4], &[5.005]);

    // α 1, β 0, γ −1 gives every row the same total weight, and a row without observed entries 0, not infinity.
    let inverse = labels(&table, 3)
        .with_partial_bce_weights(PartialBce::default().with_alpha(1.0).with_beta(0.0).with_gamma(-1.0))
        .unwrap();
    let sums: Vec<f64> = weights(&inverse).chunks(3).map(|row| row.iter().sum()).collect();
    close(&sums, &[3.0, 3.0, 3.0, 0.0]);
}

#[test]
fn inverse_propensity_is_that_of_the_formula() {
    // N = 5, with 1, 3 and 1 positives. K = (ln 5 − 1)·2.5^0.55 = 0.6094379·1.6552630 = 1.0087800;
    // 1 + K·2.5^−0.55 = 1 + (ln 5 − 1), and 1 + K·4.5^−0.55 = 1 + 0.4410924.
    let found = labels(&TABLE, 3).inverse_propensity(Propensity::default()).unwrap();
    close(&found, &[1.6094379, 1.4410924, 1.6094379]);
    // a = 1, b = 1: K = 2(ln 5 − 1), 1 + K/2 and 1 + K/4.
    let found = labels(&TABLE, 3).inverse_propensity(Propensity::default().with_a(1.0).with_b(1.0)).unwrap();
    close(&found, &[1.6094379124, 1.3047189562, 1.6094379124]);
}

#[test]
fn the_convex_bound_weighs_positives() {
    let table = labels(&TABLE, 3);
    let inverse = [2.0, 1.0, 4.0];
    let bound = BceWithLogits::convex_propensity(&inverse);
    let logits: Vec<f64> = (0..15).map(|i| f64::from(i) / 4.0 - 2.0).collect();
    let found = numbers(&bound.forward(&tensor(&logits, &[5, 3]), &table, Reduction::None).unwrap());
    let (log_loss, weight) = (|x: f64| (-x).exp().ln_1p(), [3.0, 1.0, 7.0]);
    let unbiased = UnbiasedBce::new(inverse.into());
    let unbiased = numbers(&unbiased.forward(&tensor(&logits, &[5, 3]), &table, Reduction::None).unwrap());
    for i in 0..15 {
        let (x, y, label) = (logits[i], TABLE[i], i % 3);
        let expected = match y {
            1.0 => weight[label] * log_loss(x),
            0.0 => log_loss(-x),
            _ => 0.0,
        };
        approx::assert_relative_eq!(found[i], expected, max_relative = 1e-14);
        assert!(found[i] >= unbiased[i] - 1e-14, "it bounds the unbiased loss");
    }
}

#[test]
fn tables_without_entries_have_no_weights() {
    for size in [[0i64, 3], [3, 0]] {
        let empty = || Labels::complete(&Tensor::zeros(size, here(Kind::Float))).unwrap();
        assert!(weights(&empty().with_balanced_weights().unwrap()).is_empty());
        assert!(
            weights(
                &empty()
                    .with_partial_bce_weights(PartialBce::default().with_alpha(1.0).with_beta(1.0).with_gamma(-1.0))
                    .unwrap()
            )
            .is_empty()
        );
    }
    let nothing = labels(&[NONE; 12], 3);
    close(&weights(&nothing.clone().with_balanced_weights().unwrap()), &[0.0; 12]);
    assert!(nothing.inverse_propensity(Propensity::default()).unwrap().iter().all(|inverse| inverse.is_finite()));
    let no_labels = Labels::complete(&Tensor::zeros([3, 0], here(Kind::Float))).unwrap();
    assert!(no_labels.inverse_propensity(Propensity::default()).unwrap().is_empty());
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let soft = labels(&[1.0, 0.0, 0.25], 1);
    let message = |error: Error| error.to_string();
    let neither = "labels: expected 0 or 1 where observed, found 0.25";
    assert_eq!(message(soft.inverse_propensity(Propensity::default()).unwrap_err()), neither);
    assert_eq!(message(soft.with_balanced_weights().unwrap_err()), neither);
    let two = labels(&[1.0, 0.0], 1);
    assert_eq!(
        message(two.inverse_propensity(Propensity::default()).unwrap_err()),
        "labels: expected shape of 3 rows or more, found [2, 1]"
    );
    assert!(
        message(two.inverse_propensity(Propensity::default().with_a(-1.0).with_b(1.5)).unwrap_err())
            .starts_with("a: expected a finite number of at least 0")
    );
    for b in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            message(two.inverse_propensity(Propensity::default().with_b(b)).unwrap_err())
                .starts_with("b: expected a finite number of at least")
        );
    }
    assert!(
        message(
            two.with_partial_bce_weights(PartialBce::default().with_alpha(1.0).with_beta(f64::NAN).with_gamma(1.0))
                .unwrap_err()
        )
        .starts_with("beta: expected")
    );
}
