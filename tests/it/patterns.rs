//! Observed entries in uneven patterns, over several blocks of the fused backend.

use crate::common::{Case, backward, numbers, on_both_backends, rng};
use masked_loss::{BceWithLogits, Loss, Missing, Named, Reduction, SigmoidFocal};
use tch::{Kind, Tensor};

/// More than three blocks, and a rest that is not a whole vector.
const SIZE: [i64; 2] = [17, 3001];

/// Large, because a mean's gradient would be too small for half precision.
const UPSTREAM: f64 = 1000.0;

type Pattern = fn(usize) -> bool;

const PATTERNS: [(&str, Pattern); 7] = [
    ("few before many", |i| i % 16384 >= 8192 || i.is_multiple_of(100)),
    ("many before few", |i| i % 16384 < 8192 || i.is_multiple_of(100)),
    ("all and none by turns", |i| (i / 16384).is_multiple_of(2)),
    ("nearly all", |i| !i.is_multiple_of(997)),
    ("hardly any", |i| i.is_multiple_of(997)),
    ("the first", |i| i == 0),
    ("the last", |i| i + 1 == (SIZE[0] * SIZE[1]) as usize),
];

/// Name, whether missing entries count, and loss.
fn losses() -> Vec<(&'static str, bool, Box<dyn Loss>)> {
    let pos_weight = Some((0..SIZE[1]).map(|label| 1.0 + label as f64 / 1000.0).collect());
    vec![
        ("bce", false, Box::new(BceWithLogits::default())),
        ("bce, pos_weight", false, Box::new(BceWithLogits::default().with_pos_weight(pos_weight))),
        ("focal, missing as negative", true, Box::new(SigmoidFocal::default().with_missing(Missing::Negative))),
    ]
}

#[test]
fn the_backends_agree_wherever_the_observed_entries_are() {
    let mut rng = rng(51);
    let logits = Named::new("bce", BceWithLogits::default());
    // Labels in bytes, and as numbers.
    let kinds_of_labels = [(false, Reduction::Mean), (true, Reduction::None)];
    for ((pattern, observed), (soft, reduction)) in PATTERNS.into_iter().flat_map(|p| kinds_of_labels.map(|k| (p, k))) {
        let mut case = Case::draw(&mut rng, &logits, &SIZE, 0.5, soft);
        case.observed = (0..case.input.len()).map(observed).collect();
        let labels = case.labels();
        for (name, assumes, loss) in losses() {
            for (kind, limit) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6), (Kind::Half, 1e-3)] {
                let [(composed, _), (fused, alone)] = on_both_backends(|backend, device| {
                    let (input, labels) = (case.input(kind).to_device(device), labels.to_device(device).unwrap());
                    let forward = |x: &Tensor| loss.forward_on(backend, x, &labels, reduction).unwrap();
                    (backward(&input, UPSTREAM, forward), numbers(&forward(&input)))
                });
                for (what, composed, fused) in [
                    ("value without gradient", &composed.0, alone),
                    ("value", &composed.0, fused.0),
                    ("gradient", &composed.1, fused.1),
                ] {
                    // Relative to the largest number, or to the two terms whose difference a soft label takes: the
                    // backends round in different places.
                    let terms = f64::from(u8::from(soft)) * if what == "gradient" { UPSTREAM } else { 1.0 };
                    let largest = composed.iter().fold(terms, |largest, number| largest.max(number.abs()));
                    let missing = |i: usize| fused.len() > 1 && !assumes && !observed(i);
                    let good = |i: usize| {
                        (composed[i] - fused[i]).abs() <= limit * largest && (!missing(i) || fused[i] == 0.0)
                    };
                    let bad = (0..fused.len()).find(|&i| !good(i));
                    assert_eq!(bad, None, "{what} of {name}, {pattern}, soft {soft}, {kind:?}");
                }
            }
        }
    }
}
