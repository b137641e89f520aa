//! Labels read in place, and batches read from their table: the results equal those of labels that are made or copied
//! first.

use crate::common::{
    Case, GARBAGE, KINDS, REDUCTIONS, backends, backward, device, here, losses, numbers, rng, tensor, uniform, vector,
};
use masked_loss::{
    BceProbabilities, BceWithLogits, Elementwise, Huber, Labels, Loss, Missing, Raw, Real, Reduction, Weights,
    masked_bce, masked_bce_with_logits,
};
use tch::{Kind, Tensor};

const INTEGERS: [Kind; 5] = [Kind::Int64, Kind::Int, Kind::Int16, Kind::Int8, Kind::Uint8];

/// Several blocks, and a rest.
const SIZE: [i64; 2] = [9, 4001];

/// The labels, with the sentinel where they are missing.
fn with_sentinel(labels: &Tensor, mask: &Tensor, sentinel: f64) -> Tensor {
    labels.masked_fill(&mask.logical_not(), sentinel)
}

/// Compares to the bit, for every reduction.
fn same(loss: &dyn Loss, logits: &Tensor, raw: Raw<'_>, what: &str) {
    let labels = Labels::from_raw(raw).unwrap();
    for reduction in REDUCTIONS {
        let once = backward(logits, 3.0, |x| loss.forward_raw(x, raw, reduction).unwrap());
        let made = backward(logits, 3.0, |x| loss.forward(x, &labels, reduction).unwrap());
        assert!(once == made, "{what}, {reduction:?}");
    }
}

#[test]
fn raw_labels_of_every_type_give_the_loss_of_labels_made_first() {
    let mut rng = rng(71);
    for soft in [false, true] {
        let case = Case::draw(&mut rng, &losses(1)[0], &SIZE, 0.3, soft);
        let (labels, mask) = (tensor(&case.label, &SIZE), case.mask());
        let bce = BceWithLogits::default();
        for kind in KINDS.into_iter().chain(if soft { vec![] } else { [&INTEGERS[..], &[Kind::Bool]].concat() }) {
            let labels = labels.to_kind(kind);
            for mask_kind in KINDS.into_iter().chain(INTEGERS).chain([Kind::Bool]) {
                let raw = Raw::Mask { labels: &labels, mask: &mask.to_kind(mask_kind) };
                same(&bce, &case.input(Kind::Float), raw, &format!("{kind:?} by a mask of {mask_kind:?}"));
            }
            same(&bce, &case.input(Kind::Double), Raw::Complete(&labels), &format!("{kind:?}, complete"));
            if KINDS.contains(&kind) {
                same(&bce, &case.input(kind), Raw::Nan(&with_sentinel(&labels, &mask, f64::NAN)), "NaN");
            }
            if kind != Kind::Bool {
                let sentinel = if kind == Kind::Uint8 { 255.0 } else { -1.0 };
                let raw = with_sentinel(&labels, &mask, sentinel);
                same(&bce, &case.input(Kind::Float), Raw::Sentinel(&raw, sentinel), &format!("{kind:?} by a sentinel"));
            }
        }
    }
}

#[test]
fn raw_labels_serve_every_loss_and_policy_whatever_stands_at_missing_entries() {
    let mut rng = rng(72);
    for (named, garbage) in losses(7).iter().zip(GARBAGE.into_iter().cycle()) {
        let clean = Case::draw(&mut rng, named, &[3, 5, 7], 0.5, false);
        let case = clean.spoilt(garbage);
        let (labels, mask) = (tensor(&case.label, &case.size), case.mask());
        for kind in KINDS {
            let raw = Raw::Mask { labels: &labels, mask: &mask };
            same(&*named.loss, &case.input(kind), raw, named.name);
            let found = backward(&case.input(kind), 1.0, |x| named.loss.forward_raw(x, raw, Reduction::Mean).unwrap());
            let clean = clean.labels();
            let made = named.loss.forward(&case.input(kind), &clean, Reduction::Mean).unwrap();
            assert_eq!(found.0, numbers(&made), "{}", named.name);
            assert!((0..found.1.len()).all(|i| case.observed[i] || found.1[i] == 0.0), "{}", named.name);
        }
        let policy = named.with_missing(Missing::Negative);
        same(&policy, &clean.input(Kind::Float), Raw::Mask { labels: &labels, mask: &mask }, named.name);
    }
    let (logits, labels) = (vector(&[0.0, 2.0]), vector(&[1.0, f64::NAN]));
    let mask = vector(&[1i64, 0]);
    let found = masked_bce_with_logits(&logits, &labels, &mask).unwrap().double_value(&[]);
    approx::assert_relative_eq!(found, 2f64.ln(), max_relative = 1e-15);
    let found = masked_bce(&vector(&[0.5, 7.0]), &labels, &mask).unwrap().double_value(&[]);
    approx::assert_relative_eq!(found, 2f64.ln(), max_relative = 1e-15);
}

#[test]
fn tensors_are_read_as_they_are_strided_and_none_may_be_empty() {
    let case = Case::draw(&mut rng(73), &losses(1)[0], &[40, 30], 0.4, true);
    let (labels, mask) = (tensor(&case.label, &[40, 30]).tr(), case.mask().tr());
    let logits = case.input(Kind::Float).tr();
    let negated = (-&labels).internal_neg_view();
    same(&BceWithLogits::default(), &logits, Raw::Mask { labels: &labels, mask: &mask }, "transposed");
    same(&BceWithLogits::default(), &logits, Raw::Mask { labels: &negated, mask: &mask }, "a pending sign");
    let one = vector(&[1u8]).expand([30, 40], false);
    same(&BceWithLogits::default(), &logits, Raw::Complete(&one), "expanded");
    for size in [&[0i64, 4][..], &[3, 0], &[0], &[2, 0, 3]] {
        let empty = Tensor::zeros(size, here(Kind::Float));
        same(&BceWithLogits::default(), &empty, Raw::Nan(&empty), "empty");
        let loss = BceWithLogits::default().forward_raw(&empty, Raw::Nan(&empty), Reduction::Sum).unwrap();
        assert!(loss.double_value(&[]).is_sign_positive());
    }
    // A sentinel that the labels' type rounds.
    for (kind, sentinel) in [(Kind::BFloat16, -999.0), (Kind::Half, -9999.0), (Kind::Half, 0.1), (Kind::Float, -999.9)]
    {
        let labels = vector(&[0.5, sentinel, 3.0]).to_kind(kind);
        let logits = Tensor::zeros([3], here(Kind::Float));
        same(&Huber::default(), &logits, Raw::Sentinel(&labels, sentinel), "a sentinel");
        let loss = Huber::default().forward_raw(&logits, Raw::Sentinel(&labels, sentinel), Reduction::None).unwrap();
        assert_eq!(numbers(&loss), [0.125, 0.0, 2.5]);
    }
}

/// Takes labels from 1 to 5.
struct Rating;

impl Elementwise for Rating {
    fn entry<R: Real>(&self, input: &R, label: &R) -> R {
        let error = input.clone() - label;
        error.clone() * error
    }
    fn label_range(&self) -> std::ops::RangeInclusive<f64> {
        1.0..=5.0
    }
}

#[test]
fn what_a_pass_finds_wrong_is_the_same_error_as_ever() {
    let of = |values: &[f64]| vector(values).view([1, -1]);
    let logits = of(&[0.5, 0.25, 0.75]);
    let ones = Tensor::ones([1, 3], here(Kind::Bool));
    let hard = of(&[1.0, 0.0, 1.0]);
    let message = |loss: &dyn Loss, logits: &Tensor, raw: Raw<'_>| {
        let once = loss.forward_raw(logits, raw, Reduction::Mean).unwrap_err().to_string();
        let first = Labels::from_raw(raw).and_then(|labels| loss.forward(logits, &labels, Reduction::Mean));
        assert_eq!(once, first.unwrap_err().to_string());
        assert_eq!(once, loss.forward_raw(logits, raw, Reduction::Sum).unwrap_err().to_string());
        once
    };
    let bce = BceWithLogits::default();
    let masked = |labels: &Tensor, mask: &Tensor| message(&bce, &logits, Raw::Mask { labels, mask });
    let outside = "labels: expected numbers within [0, 1] where observed, found 1.5";
    assert_eq!(masked(&of(&[1.0, 1.5, f64::NAN]), &of(&[1.0, 1.0, 0.0])), outside);
    assert_eq!(message(&bce, &logits, Raw::Sentinel(&of(&[1.0, 1.5, -1.0]), -1.0)), outside);
    let unusable = "labels: expected a finite number where observed, found NaN";
    assert_eq!(masked(&of(&[1.0, f64::NAN, 0.0]), &ones), unusable);
    assert_eq!(message(&Huber::default(), &logits, Raw::Complete(&of(&[1.0, f64::NAN, 7.0]))), unusable);
    let infinite = "labels: expected a finite number where observed, found inf";
    assert_eq!(message(&Huber::default(), &logits, Raw::Nan(&of(&[1.0, f64::INFINITY, 7.0]))), infinite);
    for (mask, found) in [([1.0, 2.0, 0.0], "2"), ([0.5, 1.0, 0.0], "0.5"), ([1.0, f64::NAN, 0.0], "NaN")] {
        for kind in KINDS {
            let expected = format!("mask: expected 0 or 1, found {found}");
            assert_eq!(masked(&hard, &of(&mask).to_kind(kind)), expected, "{kind:?}");
        }
    }
    assert_eq!(masked(&hard, &of(&[1.0, -1.0, 0.0]).to_kind(Kind::Int8)), "mask: expected 0 or 1, found -1");
    assert_eq!(masked(&hard, &of(&[1.0, 1e-300, 0.0])), format!("mask: expected 0 or 1, found {}", 1e-300));
    assert_eq!(masked(&hard, &of(&[1.0, 0.0])), "mask: expected shape [1, 3], found [1, 2]");
    assert_eq!(message(&bce, &logits, Raw::Complete(&of(&[1.0, 0.0]))), "logits: expected shape [1, 2], found [1, 3]");
    let probabilities = message(&BceProbabilities, &of(&[0.5, 2.0, 0.5]), Raw::Mask { labels: &hard, mask: &ones });
    assert_eq!(probabilities, "probabilities: expected numbers within [0, 1] where observed, found 2");
    // With several faults, both report the same one.
    let long = of(&[0.5, 0.25, 0.75, 1.0]);
    assert_eq!(
        message(&bce, &long, Raw::Mask { labels: &hard, mask: &of(&[2.0, 1.0, 0.0]).to_kind(Kind::Uint8) }),
        "mask: expected 0 or 1, found 2"
    );
    assert_eq!(message(&bce, &long, Raw::Complete(&of(&[1.0, f64::NAN, 0.0]))), unusable);
    let rating = message(&Rating, &logits, Raw::Complete(&hard));
    assert_eq!(rating, "labels: expected numbers within [1, 5] where observed, found 0");
}

#[test]
fn what_a_caller_does_to_values_changes_no_labels() {
    for observed in [1.0, 0.25] {
        let labels = Labels::from_nan(&vector(&[observed, f64::NAN]).view([2, 1])).unwrap();
        let batch = labels.rows(&vector(&[0i64])).unwrap();
        let _ = labels.values().unwrap().fill_(7.0);
        let _ = batch.values().unwrap().fill_(7.0);
        assert_eq!((numbers(&labels.values().unwrap())[0], numbers(&batch.values().unwrap())[0]), (observed, observed));
    }
}

#[test]
fn a_batch_is_its_rows_copied_out_of_the_table() {
    let mut rng = rng(74);
    for (soft, size) in [(false, &[50i64, 700][..]), (true, &[50, 7]), (false, &[50]), (true, &[50, 3, 4])] {
        let case = Case::draw(&mut rng, &losses(1)[0], size, 0.3, soft);
        let columns = *size.last().unwrap();
        let mut random = |n: i64| uniform(&mut rng, n, 0.1..3.0);
        let (entries, rows, labels) = (random(size.iter().product()), random(size[0]), random(columns));
        let weighted = |labels: Labels, entries: &Tensor, rows: &Tensor, columns: &Tensor| {
            let labels = labels.with_weights(Weights::PerEntry(entries)).unwrap();
            let labels = labels.with_weights(Weights::PerRow(rows)).unwrap();
            labels.with_weights(Weights::PerLabel(columns)).unwrap()
        };
        let (entries, rows, labels) = (tensor(&entries, size), vector(&rows), vector(&labels));
        let mut index = vector(&[49i64, 0, 17, 17, 3, 20]);
        // The caller may change their own tensor; the second batch is cut from the first.
        let cut = |table: &Labels, index: &mut Tensor| {
            let first = table.rows(&Tensor::arange_start_step(49, -1, -1, here(Kind::Int64))).unwrap();
            let batch = first.rows(&(-&*index + 49).to_kind(Kind::Int)).unwrap();
            let direct = table.rows(index).unwrap();
            let _ = index.fill_(0);
            (batch, direct)
        };
        let taken = index.copy();
        let of = |tensor: &Tensor| tensor.index_select(0, &taken);
        let own_labels = if size.len() == 1 { of(&labels) } else { labels.shallow_clone() };
        let copied = Labels::from_mask(&of(&tensor(&case.label, size)), &of(&case.mask())).unwrap();
        let copied = weighted(copied, &of(&entries), &of(&rows), &own_labels);
        let table = weighted(case.labels(), &entries, &rows, &labels);
        let (twice, once) = cut(&table, &mut index);
        for batch in [once.clone(), once, twice.to_device(device()).unwrap(), twice] {
            assert_eq!(batch.size(), copied.size());
            assert_eq!(numbers(&batch.observed_count().unwrap()), numbers(&copied.observed_count().unwrap()));
            assert_eq!(numbers(&batch.observed_per_label().unwrap()), numbers(&copied.observed_per_label().unwrap()));
            let zero_for_nan = |labels: &Labels| numbers(&labels.values().unwrap().nan_to_num(-1.0, None, None));
            assert_eq!(zero_for_nan(&batch), zero_for_nan(&copied));
            let logits = of(&case.input(Kind::Double));
            for backend in backends() {
                for reduction in REDUCTIONS {
                    let of = |labels: &Labels| {
                        let loss = |x: &Tensor| BceWithLogits::default().forward_on(backend, x, labels, reduction);
                        backward(&logits, 1.0, |x| loss(x).unwrap())
                    };
                    assert!(of(&batch) == of(&copied), "{size:?}, {backend:?}, {reduction:?}");
                }
            }
            let further = |labels: Labels| labels.with_weights(Weights::PerEntry(&of(&entries))).unwrap();
            let loss = |labels| BceWithLogits::default().forward(&logits, &labels, Reduction::WeightedMean).unwrap();
            assert_eq!(numbers(&loss(further(batch))), numbers(&loss(further(copied.clone()))));
        }
    }
}
