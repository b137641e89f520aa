//! The promises of a pass on slices, without libtorch, at every SIMD level that the machine has.

use std::ops::Range;
use std::process::Command;
use std::thread;

use masked_loss_core::losses::{AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Hill, SigmoidFocal};
use masked_loss_core::{
    Assumed, Bf16, Cells, CellsMut, Dual, Elementwise, Encoded, Entries, EntryWeights, F16, Formula, Observed, Pass,
    Raw, RawLabels, Result, Serial, Simd, Table, Threads, Weights,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Rows and width of tables: narrow, wider than a block, and of one entry.
const SIZES: &[(usize, usize)] = if cfg!(miri) {
    &[(7, 13), (1, 1)]
} else {
    &[(7, 13), (700, 65), (3, 40_000), (1, 1), (50_000, 1), (0, 5), (5, 0)]
};

/// So many threads, each with every so-manieth part.
struct Spread(usize);

// SAFETY: the parts do not overlap, and each is visited by one thread.
unsafe impl Threads for Spread {
    fn run(&self, count: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) -> Result<()> {
        thread::scope(|scope| {
            for first in 0..self.0 {
                scope.spawn(move || {
                    for start in (0..count).step_by(grain.max(1)).skip(first).step_by(self.0) {
                        body(start..count.min(start + grain.max(1)));
                    }
                });
            }
        });
        Ok(())
    }
}

struct Case {
    rows: usize,
    width: usize,
    input: Vec<f64>,
    label: Vec<f64>,
    mask: Vec<u8>,
}

impl Case {
    fn draw(seed: u64, (rows, width): (usize, usize), probabilities: bool, share: f64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rows * width;
        let range = if probabilities { 0.01..0.99 } else { -6.0..6.0 };
        Self {
            rows,
            width,
            // Numbers that every type holds.
            input: (0..count).map(|_| (rng.random_range::<f64, _>(range.clone()) * 64.0).round() / 64.0).collect(),
            label: (0..count).map(|_| f64::from(u8::from(rng.random_bool(0.4)))).collect(),
            mask: (0..count).map(|_| u8::from(rng.random_bool(share))).collect(),
        }
    }

    fn input<X>(&self, of: impl Fn(f64) -> X) -> Vec<X> {
        self.input.iter().map(|&x| of(x)).collect()
    }

    fn cells(&self) -> Vec<i8> {
        self.label.iter().zip(&self.mask).map(|(&label, &mask)| if mask == 1 { label as i8 } else { -1 }).collect()
    }

    fn table<'a>(&self, cells: Cells<'a>) -> Table<'a> {
        Table { cells, rows: self.rows, width: self.width, index: None }
    }

    /// With garbage where a label is missing.
    fn spoilt(&self, garbage: f64) -> Self {
        let spoil = |values: &[f64]| {
            values.iter().zip(&self.mask).map(|(&value, &mask)| if mask == 1 { value } else { garbage }).collect()
        };
        Self { input: spoil(&self.input), label: spoil(&self.label), mask: self.mask.clone(), ..*self }
    }
}

fn observed<'a>(loss: &'a (dyn Formula + 'a)) -> Entries<'a, dyn Formula + 'a> {
    Entries { observed: loss, missing: None }
}

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

fn raw<'a>(labels: RawLabels<'a>, mask: &'a [u8]) -> Raw<'a> {
    Raw { labels, observed: Observed::Bytes(mask) }
}

/// Value and derivative by dual numbers in `f64`.
fn exact<E: Elementwise>(loss: &E, x: f64, y: f64) -> (f64, f64) {
    let found = loss.entry(&Dual::variable(x), &Dual::fixed(y));
    (found.value, found.derivative)
}

fn keeps_the_promises<E: Elementwise>(name: &str, loss: &E) {
    let probabilities = *loss.inputs().start() == 0.0;
    for (seed, (&size, share)) in
        SIZES.iter().flat_map(|size| [0.0, 0.03, 0.5, 1.0].map(|share| (size, share))).enumerate()
    {
        let case = Case::draw(seed as u64, size, probabilities, share);
        let what = format!("{name}, {size:?}, {share} observed");
        let (input, cells) = (case.input(|x| x as f32), case.cells());
        let table = case.table(Cells::Bytes(&cells));
        let of_table = |threads: &dyn Threads, input: &[f32]| {
            pass_f32(observed(loss), input, |pass| pass.labels(threads, &table, &Weights::default()))
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
            let of_raw = pass_f32(observed(loss), &input, |pass| pass.raw(&Spread(2), &raw));
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
    let (entries, none) = (observed(loss), Weights::default());
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

/// Of a multiple of 1/64 below 8 in size, which is exact.
fn to_f16(x: f64) -> u16 {
    if x == 0.0 {
        return 0;
    }
    let bits = (x as f32).to_bits();
    let (sign, exponent, mantissa) = (bits >> 31, (bits >> 23 & 0xff) as i32 - 127, bits >> 13 & 0x3ff);
    (sign << 15 | ((exponent + 15) as u32) << 10 | mantissa) as u16
}

#[test]
fn every_loss_keeps_the_promises() {
    keeps_the_promises("bce", &BceWithLogits::default());
    keeps_the_promises("bce, smoothed", &BceWithLogits { label_smoothing: 0.1, ..Default::default() });
    keeps_the_promises("probabilities", &BceProbabilities);
    keeps_the_promises("focal", &SigmoidFocal::default());
    keeps_the_promises("focal, any power", &SigmoidFocal { alpha: None, gamma: 1.5 });
    keeps_the_promises("asymmetric", &Asymmetric::default());
    keeps_the_promises("hill", &Hill::default());
    keeps_the_promises("absolute", &AbsoluteError);
}

#[test]
fn what_a_loss_does_not_accept_is_found() {
    let (input, mask) = ([0.5f32; 100], [1u8; 100]);
    let of = |labels: &[f32], mask: &[u8], input: &[f32]| {
        let raw = raw(RawLabels::F32(labels), mask);
        pass_f32(observed(&BceProbabilities), input, |pass| pass.raw(&Serial, &raw)).0
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
        let entries = Entries {
            observed: &loss as &dyn Formula,
            missing: Some(Assumed { formula: &loss as &dyn Formula, label: 0.25, weight: 0.5 }),
        };
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

#[test]
fn rows_of_a_table_are_counted_weighed_and_encoded() {
    for (&(rows, width), threads) in SIZES.iter().zip([1, 2, 3].into_iter().cycle()) {
        let (case, threads) = (Case::draw(8, (rows, width), false, 0.3), &Spread(threads));
        let (mut rng, cells) = (SmallRng::seed_from_u64(9), case.cells());
        let observed = |row: usize, column: usize| case.mask[row * width + column] == 1;

        let index: Vec<i64> = (0..if rows == 0 { 0 } else { 11 }).map(|_| rng.random_range(0..rows as i64)).collect();
        let some = Table { rows: index.len(), index: Some(&index), ..case.table(Cells::Bytes(&cells)) };
        let mut counts = vec![-1; index.len()];
        some.observed_per_row(threads, &mut counts).unwrap();
        let count = |row: usize| (0..width).filter(|&column| observed(row, column)).count() as i64;
        assert_eq!(counts, index.iter().map(|&row| count(row as usize)).collect::<Vec<_>>());
        let per_label = (0..width).map(|c| index.iter().filter(|&&row| observed(row as usize, c)).count() as i64);
        assert_eq!(some.observed_per_label(threads, width).unwrap(), per_label.collect::<Vec<_>>());

        let entries: Vec<f32> = (0..rows * width).map(|_| f32::from(rng.random_range(0..8u8)) / 4.0).collect();
        let labels: Vec<f64> = (0..width).map(|column| (column % 5) as f64).collect();
        let weights = Weights { entries: Some(EntryWeights::F32(&entries)), rows: None, labels: Some(&labels) };
        let mut totals = vec![f64::NAN; index.len()];
        some.weight_per_row(threads, &weights, false, &mut totals).unwrap();
        let weight = |row: usize, column: usize| f64::from(entries[row * width + column]) * labels[column];
        for (&row, total) in index.iter().zip(totals) {
            let of_observed = (0..width).filter(|&c| observed(row as usize, c)).map(|c| weight(row as usize, c));
            assert_eq!(total, of_observed.sum::<f64>() + 0.0, "exact: few digits");
        }

        let labels: Vec<i64> = case.label.iter().map(|&label| label as i64).collect();
        let raw = raw(RawLabels::I64(&labels), &case.mask);
        assert_eq!(raw.count(threads).unwrap(), Some(case.mask.iter().filter(|&&mask| mask == 1).count()));
        let (mut encoded, mut counts) = (vec![9; rows * width], vec![-1; rows]);
        let result = raw.encode(threads, CellsMut::Bytes(&mut encoded), &mut counts).unwrap();
        let (least, largest) = (cells.iter().filter(|&&c| c >= 0).min(), cells.iter().max().filter(|&&c| c >= 0));
        let range = least.zip(largest).map(|(&least, &largest)| (f64::from(least), f64::from(largest)));
        assert_eq!(result, Encoded::Complete(range));
        assert_eq!(encoded, cells);
        assert_eq!(counts, (0..rows).map(count).collect::<Vec<_>>());
    }
}

#[test]
fn labels_that_bytes_do_not_hold_are_soft_or_faulty() {
    let (labels, mut counts) = ([0.0f32, 1.0, 0.5, f32::NAN], [0; 2]);
    let raw = |observed| Raw { labels: RawLabels::F32(&labels), observed };
    let (mut bytes, mut numbers) = ([0; 4], [0.0f32; 4]);
    let nan = raw(Observed::NotNan);
    assert_eq!(nan.encode(&Serial, CellsMut::Bytes(&mut bytes), &mut counts).unwrap(), Encoded::Soft);
    let found = nan.encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!((found, counts), (Encoded::Complete(Some((0.0, 1.0))), [2, 1]));
    assert!(numbers[..3] == labels[..3] && numbers[3].is_nan());
    let found = raw(Observed::All).encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!(found, Encoded::Faulty);
    let found = raw(Observed::Bytes(&[1, 1, 1, 7])).encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!(found, Encoded::Faulty);
}

/// This program once more for each lower level, by the environment variable that chooses it.
#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn the_promises_hold_at_every_simd_level() {
    let chosen = Simd::chosen().unwrap();
    for level in Simd::available().filter(|&level| level != chosen) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--skip", "the_promises_hold_at_every_simd_level"])
            .env(Simd::VARIABLE, level.key())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("6 passed"), "{level:?}: {said}");
    }
}

#[test]
fn a_level_that_does_not_exist_is_an_error() {
    if std::env::var(Simd::VARIABLE).is_ok_and(|level| level == "sse9") {
        let error = Simd::chosen().unwrap_err();
        let input = [0.0f32];
        let (loss, table) =
            (BceWithLogits::default(), Table { cells: Cells::Bytes(&[1]), rows: 1, width: 1, index: None });
        let pass = Pass { entries: observed(&loss), input: &input[..], gradient: None, values: None, divisor: 1.0 };
        assert_eq!(pass.labels(&Serial, &table, &Weights::default()), Err(error));
    } else if !cfg!(miri) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_level_that_does_not_exist_is_an_error"])
            .env(Simd::VARIABLE, "sse9")
            .status()
            .unwrap();
        assert!(done.success());
    }
}
