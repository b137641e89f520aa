//! The term that holds the expected number of positives in a row.

use crate::common::{KINDS, backward, here, tensor};
use masked_loss::{Error, expected_positives};
use tch::{Kind, Tensor};

#[test]
fn numbers_worked_out_by_hand() {
    // σ = 1/2, 3/4, 1/4, 3/4, 1/2, 1/4: 3 in all, 3/2 a row. With k = 1 and C = 3: (1/2)²/9; the slope of each is
    // 2·(1/2)·p(1 − p)/(2·9).
    let far = 3f64.ln();
    let logits = tensor(&[0.0, far, -far, far, 0.0, -far], &[2, 3]);
    for kind in KINDS {
        let tolerance = if kind == Kind::Double { 1e-15 } else { 1e-2 };
        let (value, gradient) = backward(&logits.to_kind(kind), 1.0, |x| expected_positives(x, 1.0).unwrap());
        approx::assert_relative_eq!(value[0], 1.0 / 36.0, max_relative = tolerance);
        for (found, spread) in gradient.iter().zip([0.25, 0.1875, 0.1875, 0.1875, 0.25, 0.1875]) {
            approx::assert_relative_eq!(*found, spread / 18.0, max_relative = tolerance);
        }
    }
}

#[test]
fn as_many_as_expected_cost_nothing() {
    let logits = Tensor::zeros([5, 4], here(Kind::Double));
    assert_eq!(backward(&logits, 1.0, |x| expected_positives(x, 2.0).unwrap()), (vec![0.0], vec![0.0; 20]));
}

#[test]
fn without_entries_it_is_zero_with_the_graph_attached() {
    for size in [[0, 3], [3, 0]] {
        let logits = Tensor::zeros(size, here(Kind::Float));
        assert_eq!(backward(&logits, 1.0, |x| expected_positives(x, 0.0).unwrap()), (vec![0.0], vec![]));
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let logits = Tensor::zeros([2, 3], here(Kind::Float));
    for k in [-1.0, 3.5, f64::NAN] {
        assert!(matches!(expected_positives(&logits, k), Err(Error::Range { argument: "k", .. })));
    }
    let error = expected_positives(&logits.view([6]), 1.0).unwrap_err().to_string();
    assert_eq!(error, "logits: expected shape [N, C], found [6]");
    assert!(matches!(expected_positives(&logits.to_kind(Kind::Int64), 1.0), Err(Error::Kind { .. })));
}
