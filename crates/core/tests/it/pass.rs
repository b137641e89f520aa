//! Zero, agreement and reproducibility of a pass, and what it refuses.

use masked_loss_core::losses::{AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Hill, SigmoidFocal};
use masked_loss_core::{
    Assumed, Bf16, Cells, Dual, Elementwise, Entries, F16, Formula, Pass, RawLabels, Result, Serial, Threads, Weights,
};

use crate::case::{Case, SIZES, Spread, raw, to_f16};

/// The sum, the gradient and each entry's loss.
type Found<F> = (Option<f64>, Vec<F>, Vec<F>);

fn pass_f32(
    entries: Entries<'_, dyn Formula + '_>,
    input: &[f32],
    run: impl Fn(Pass<'_, f32>) -> Result<Option<f64>>,
) -> Found<f32> {
    let (mut gradient, mut values) = (vec![f32::NAN; input.len()], vec![f32::NAN; input.len()]);
    let found = run(Pass { entries, input, gradient: Some(&mut gradient), values: Some(&mut values), divisor: 2.0 });
    (found.unwrap(), gradient, values)
}

/// Value and derivative by dual numbers in `f64`.
fn exact<E: Elementwise>(loss: &E, x: f64, y: f64) -> (f64, f64) {
    let found = loss.entry(&Dual::variable(x), &Dual::fixed(y));
    (found.value, found.derivative)
}

fn keeps_the_promises<E: Elementwise>(name: &str, loss: &E) {
    let probabilities = *loss.input_range().start() == 0.0;
    for (seed, (&size, share)) in
        SIZES.iter().flat_map(|size| [0.0, 0.03, 0.5, 1.0].map(|share| (size, share))).enumerate()
    {
        let case = Case::draw(seed as u64, size, probabilities, share);
        let what = format!("{name}, {size:?}, {share} observed");
        let (input, cells) = (case.input(|x| x as f32), case.cells());
        let table = case.table(Cells::Bytes(&cells));
        let of_table = |threads: &dyn Threads, input: &[f32]| {
            pass_f32(Entries::observed(loss), input, |pass| pass.labels(threads, &table, &Weights::default()))
        };
        let found = of_table(&Serial, &input);

        // Agreement with the oracle, and zero for what is missing.
        let mut sum = 0.0;
        for i in 0..input.len() {
            if case.mask[i] == 0 {
                assert_eq!((found.1[i].to_bits(), found.2[i].to_bits()), (0, 0), "{what}");
                continue;
            }
            let (value, slope) = exact(loss, case.input[i], case.label[i]);
            sum += value;
            let close = |found: f32, exact: f64| (f64::from(found) - exact).abs() <= 4e-6 * exact.abs() + 1e-7;
            assert!(close(found.2[i], value) && close(found.1[i], slope / 2.0), "{what}: {} {value}", found.2[i]);
        }
        assert!((found.0.unwrap() - sum).abs() <= 1e-5 * sum.abs() + 1e-6, "{what}");

        // The same bits for any number of threads, with garbage behind missing labels, and for raw labels.
        for threads in [2, 3, 7] {
            assert!(of_table(&Spread(threads), &input) == found, "{what}, {threads} threads");
        }
        for garbage in [f64::NAN, f64::INFINITY, -1e30] {
            let spoilt = case.spoilt(garbage);
            let input = spoilt.input(|x| x as f32);
            assert!(of_table(&Serial, &input) == found, "{what}, {garbage}");
            let labels: Vec<f32> = spoilt.label.iter().map(|&y| y as f32).collect();
            let raw = raw(RawLabels::F32(&labels), &case.mask);
            let of_raw = pass_f32(Entries::observed(loss), &input, |pass| pass.raw(&Spread(2), &raw));
            assert!(of_raw == found, "{what}, raw, {garbage}");
        }
        other_types(loss, &case, &what);
    }
}

/// `f64` and half precision.
fn other_types<E: Elementwise>(loss: &E, case: &Case, what: &str) {
    let cells = case.cells();
    let table = case.table(Cells::Bytes(&cells));
    let (input, mut gradient) = (case.input(|x| x), vec![f64::NAN; case.input.len()]);
    let (entries, none) = (Entries::observed(loss), Weights::default());
    let pass = Pass { entries, input: &input[..], gradient: Some(&mut gradient), values: None, divisor: 2.0 };
    assert!(pass.labels(&Serial, &table, &none).unwrap().is_some());
    for (i, &found) in gradient.iter().enumerate() {
        let slope = if case.mask[i] == 1 { exact(loss, case.input[i], case.label[i]).1 / 2.0 } else { 0.0 };
        assert!((found - slope).abs() <= 1e-13 * slope.abs() + 1e-14, "{what}: {found} {slope}");
    }
    // What every type holds gives the same in each.
    let single = case.input(|x| x as f32);
    let (mut expected, mut found) = (vec![f32::NAN; single.len()], vec![f32::NAN; single.len()]);
    let pass = Pass { entries, input: &single[..], gradient: Some(&mut expected), values: None, divisor: 2.0 };
    let sum = pass.labels(&Serial, &table, &none).unwrap();
    let halves = case.input(|x| F16(to_f16(x)));
    let pass = Pass { entries, input: &halves[..], gradient: Some(&mut found), values: None, divisor: 2.0 };
    assert_eq!((pass.labels(&Serial, &table, &none).unwrap(), &found), (sum, &expected), "{what}, f16");
    let rounded = case.input(|x| f32::from_bits((x as f32).to_bits() & 0xffff_0000));
    let brains = case.input(|x| Bf16(((x as f32).to_bits() >> 16) as u16));
    let pass = Pass { entries, input: &rounded[..], gradient: Some(&mut expected), values: None, divisor: 2.0 };
    let sum = pass.labels(&Serial, &table, &none).unwrap();
    let pass = Pass { entries, input: &brains[..], gradient: Some(&mut found), values: None, divisor: 2.0 };
    assert_eq!((pass.labels(&Serial, &table, &none).unwrap(), &found), (sum, &expected), "{what}, bf16");
}

#[test]
fn every_loss_keeps_the_promises() {
    keeps_the_promises("bce", &BceWithLogits::default());
    keeps_the_promises("bce, smoothed", &BceWithLogits::default().with_label_smoothing(0.1));
    keeps_the_promises("probabilities", &BceProbabilities);
    keeps_the_promises("focal", &SigmoidFocal::default());
    keeps_the_promises("focal, any power", &SigmoidFocal::default().with_alpha(None).with_gamma(1.5));
    // The kernel multiplies for exponents up to 7.
    keeps_the_promises("focal, 7", &SigmoidFocal::default().with_gamma(7.0));
    keeps_the_promises("focal, 8", &SigmoidFocal::default().with_gamma(8.0));
    keeps_the_promises("asymmetric", &Asymmetric::default());
    keeps_the_promises("hill", &Hill::default());
    keeps_the_promises("absolute", &AbsoluteError);
}

#[test]
fn what_a_loss_does_not_accept_is_found() {
    let (input, mask) = ([0.5f32; 100], [1u8; 100]);
    let of = |labels: &[f32], mask: &[u8], input: &[f32]| {
        let raw = raw(RawLabels::F32(labels), mask);
        pass_f32(Entries::observed(&BceProbabilities), input, |pass| pass.raw(&Serial, &raw)).0
    };
    let labels = [1.0f32; 100];
    assert!(of(&labels, &mask, &input).is_some());
    for at in [0, 63, 64, 99] {
        for wrong in [1.5, -0.5, f32::NAN, f32::INFINITY] {
            let mut labels = labels;
            labels[at] = wrong;
            assert_eq!(of(&labels, &mask, &input), None, "label {wrong} at {at}");
            let mut mask = mask;
            mask[at] = 0;
            assert!(of(&labels, &mask, &input).is_some(), "label {wrong} at {at} is missing");
        }
        for wrong in [1.5, -0.5] {
            let mut input = input;
            input[at] = wrong;
            assert_eq!(of(&labels, &mask, &input), None, "input {wrong} at {at}");
        }
        let mut mask = mask;
        mask[at] = 2;
        assert_eq!(of(&labels, &mask, &input), None, "mask at {at}");
    }
}

#[test]
fn what_is_assumed_of_missing_entries_is_added() {
    let loss = BceWithLogits::default();
    for &size in SIZES {
        let case = Case::draw(3, size, false, 0.4);
        let (input, cells) = (case.input(|x| x as f32), case.cells());
        let missing = Some(Assumed { formula: &loss as &dyn Formula, label: 0.25, weight: 0.5 });
        let entries = Entries { missing, ..Entries::observed(&loss as &dyn Formula) };
        let table = case.table(Cells::Bytes(&cells));
        let (sum, gradient, values) =
            pass_f32(entries, &input, |pass| pass.labels(&Spread(3), &table, &Weights::default()));
        let mut total = 0.0;
        for i in 0..input.len() {
            let observed = case.mask[i] == 1;
            let (label, weight) = if observed { (case.label[i], 1.0) } else { (0.25, 0.5) };
            let (value, slope) = exact(&loss, case.input[i], label);
            total += weight * value;
            assert!((f64::from(values[i]) - weight * value).abs() <= 1e-6 * value + 1e-7);
            assert!((f64::from(gradient[i]) - weight * slope / 2.0).abs() <= 1e-6);
        }
        assert!((sum.unwrap() - total).abs() <= 1e-5 * total + 1e-6, "{size:?}");
    }
}
