//! Passes over tables of any shape, form and weights, compared with plain arithmetic.

use masked_loss_core::losses::{BceWithLogits, SigmoidFocal, SquaredError};
use masked_loss_core::{
    Assumed, Bf16, Cells, Dual, Elementwise, Entries, EntryWeights, F16, Pass, Scalar, Serial, Storage, Table, Weights,
};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::case::{Spread, cases, shape, to_f16};

/// How labels are stored.
#[derive(Clone, Copy, Debug)]
enum Form {
    Bytes,
    F32,
    F64,
}

/// What a case is drawn from.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    rows: usize,
    width: usize,
    form: Form,
    observed: f64,
    /// Rows of the table that are used, in any order and more than once; all if `None`.
    used: Option<usize>,
    /// Weights of entries (in `f32` or `f64`), rows and labels.
    weights: (Option<bool>, bool, bool),
    /// Whether missing entries count.
    assumed: bool,
    /// Labels of the loss before and after those of the table, if the loss has a parameter.
    part: Option<(usize, usize)>,
    threads: usize,
    /// How many numbers the outputs lie behind an aligned address.
    offset: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let form = prop_oneof![Just(Form::Bytes), Just(Form::F32), Just(Form::F64)];
    let observed = prop_oneof![Just(0.0), 0.0..1.0, Just(1.0)];
    let options = (any::<bool>(), proptest::option::of((0..4usize, 0..4usize)), 1..5usize, 0..8usize);
    (
        any::<u64>(),
        shape(40_000),
        form,
        observed,
        proptest::option::of(0..9usize),
        any::<(Option<bool>, bool, bool)>(),
        options,
    )
        .prop_map(|(seed, (rows, width), form, observed, used, weights, (assumed, part, threads, offset))| Plan {
            seed,
            rows,
            width,
            form,
            observed,
            used: used.filter(|_| rows > 0),
            weights,
            assumed,
            part,
            threads,
            offset,
        })
}

/// Loss, gradient and values of a pass.
type Found<F> = (f64, Vec<F>, Vec<F>);

struct Drawn {
    plan: Plan,
    bytes: Vec<i8>,
    singles: Vec<f32>,
    numbers: Vec<f64>,
    index: Option<Vec<i64>>,
    per_entry: (Vec<f32>, Vec<f64>),
    per_row: Vec<f64>,
    per_label: Vec<f64>,
    parameter: Vec<f64>,
    input: Vec<f64>,
}

const DIVISOR: f64 = 3.0;
const ASSUMED: (f64, f64) = (0.25, 0.5);

impl Drawn {
    fn new(plan: &Plan) -> Self {
        let mut rng = SmallRng::seed_from_u64(plan.seed);
        let cells = plan.rows * plan.width;
        let soft = !matches!(plan.form, Form::Bytes);
        let numbers: Vec<f64> = (0..cells)
            .map(|_| match rng.random_bool(plan.observed) {
                true if soft => f64::from(rng.random_range(0..=8u8)) / 8.0,
                true => f64::from(rng.random_range(0..2u8)),
                false => f64::NAN,
            })
            .collect();
        let index = plan.used.map(|used| (0..used).map(|_| rng.random_range(0..plan.rows as i64)).collect::<Vec<_>>());
        let rows = index.as_ref().map_or(plan.rows, Vec::len);
        let weights = |count: usize, rng: &mut SmallRng| -> Vec<f64> {
            (0..count).map(|_| [0.0, 0.5, 1.0, 2.0, 0.75][rng.random_range(0..5)]).collect()
        };
        let (before, after) = plan.part.unwrap_or_default();
        let per_entry = weights(cells, &mut rng);
        Self {
            plan: plan.clone(),
            bytes: numbers.iter().map(|&y| if y.is_nan() { -1 } else { y as i8 }).collect(),
            singles: numbers.iter().map(|&y| y as f32).collect(),
            numbers,
            index,
            per_entry: (per_entry.iter().map(|&weight| weight as f32).collect(), per_entry),
            per_row: weights(rows, &mut rng),
            per_label: weights(plan.width, &mut rng),
            parameter: (0..before + plan.width + after).map(|_| rng.random_range(0.25..4.0)).collect(),
            // Numbers that every type holds.
            input: (0..rows * plan.width).map(|_| f64::from(rng.random_range(-127..128i32)) / 16.0).collect(),
        }
    }

    fn table(&self) -> Table<'_> {
        let cells = match self.plan.form {
            Form::Bytes => Cells::Bytes(&self.bytes),
            Form::F32 => Cells::F32(&self.singles),
            Form::F64 => Cells::F64(&self.numbers),
        };
        let rows = self.index.as_ref().map_or(self.plan.rows, Vec::len);
        Table { cells, rows, width: self.plan.width, index: self.index.as_deref() }
    }

    fn weights(&self) -> Weights<'_> {
        let (entries, rows, labels) = self.plan.weights;
        Weights {
            entries: entries.map(|single| match single {
                true => EntryWeights::F32(&self.per_entry.0),
                false => EntryWeights::F64(&self.per_entry.1),
            }),
            rows: rows.then_some(&self.per_row[..]),
            labels: labels.then_some(&self.per_label[..]),
        }
    }

    /// Label (NaN where missing), weight and column of each entry.
    fn entries(&self) -> Vec<(f64, f64, usize)> {
        let Plan { width, weights: (entries, rows, labels), .. } = self.plan;
        let entry = |place: usize| {
            let (row, column) = (place / width, place % width);
            let cell = self.index.as_ref().map_or(row, |index| index[row] as usize) * width + column;
            let mut weight = 1.0;
            weight *= if entries.is_some() { self.per_entry.1[cell] } else { 1.0 };
            weight *= if rows { self.per_row[row] } else { 1.0 };
            weight *= if labels { self.per_label[column] } else { 1.0 };
            (self.numbers[cell], weight, column)
        };
        (0..self.input.len()).map(entry).collect()
    }

    /// Where an entry does not count, its input may be anything.
    fn spoilt(&self) -> Vec<f64> {
        let counts = |&(label, weight, _): &(f64, f64, usize)| weight != 0.0 && (self.plan.assumed || !label.is_nan());
        let spoil = |(i, (&x, entry))| if counts(entry) { x } else { [f64::NAN, f64::INFINITY][i % 2] };
        self.input.iter().zip(&self.entries()).enumerate().map(spoil).collect()
    }

    fn run<E: Elementwise, X: Storage<Number = N>, N: Scalar + From<f32>>(
        &self,
        loss: &E,
        of: impl Fn(f64) -> X,
        input: &[f64],
    ) -> Found<N> {
        let input: Vec<X> = input.iter().map(|&x| of(x)).collect();
        let entries = Entries::observed(loss);
        let missing =
            self.plan.assumed.then_some(Assumed { formula: entries.observed, label: ASSUMED.0, weight: ASSUMED.1 });
        let part = self.plan.part.map(|(before, _)| [before, before + self.plan.width]);
        let [mut gradient, mut values] = [(); 2].map(|()| vec![N::from(f32::NAN); input.len() + self.plan.offset]);
        let pass = Pass {
            entries: Entries { missing, part, ..entries },
            input: &input,
            gradient: Some(&mut gradient[self.plan.offset..]),
            values: Some(&mut values[self.plan.offset..]),
            divisor: DIVISOR,
        };
        let sum = pass.labels(&Spread(self.plan.threads), &self.table(), &self.weights()).unwrap().unwrap();
        let behind = |numbers: Vec<N>| numbers[self.plan.offset..].to_vec();
        (sum, behind(gradient), behind(values))
    }

    fn check<E: Elementwise>(&self, loss: &E) {
        let spoilt = self.spoilt();
        let double = self.run(loss, |x| x, &spoilt);
        let single = self.run(loss, |x| x as f32, &spoilt);
        self.agrees(loss, &double, 1e-13);
        self.agrees(loss, &single, 4e-6);
        // The same bits as without what does not count, on one thread, and for half precision.
        let plain = Self::new(&Plan { threads: 1, offset: 0, ..self.plan.clone() });
        assert!(plain.run(loss, |x| x as f32, &self.input) == single, "one thread");
        assert!(self.run(loss, |x| Bf16(((x as f32).to_bits() >> 16) as u16), &spoilt) == single, "bf16");
        let finite: Vec<f64> = spoilt.iter().map(|&x| if x.is_finite() { x } else { 0.0 }).collect();
        assert!(self.run(loss, |x| F16(to_f16(x)), &finite) == single, "f16");
    }

    fn agrees<E: Elementwise, F: Scalar + Into<f64>>(&self, loss: &E, (sum, gradient, values): &Found<F>, close: f64) {
        let (mut total, mut size) = (0.0, 0.0);
        for (i, (label, weight, column)) in self.entries().into_iter().enumerate() {
            let (label, weight) = match label.is_nan() {
                true if self.plan.assumed => (ASSUMED.0, ASSUMED.1 * weight),
                true => (0.0, 0.0),
                false => (label, weight),
            };
            let (x, y) = (Dual::variable(self.input[i]), Dual::fixed(label));
            let exact = match loss.parameter() {
                Some((_, numbers)) => {
                    let before = self.plan.part.map_or(0, |(before, _)| before);
                    loss.entry_with(&x, &y, &Dual::fixed(numbers[before + column]))
                }
                None => loss.entry(&x, &y),
            };
            let (value, slope) = (weight * exact.value, weight * exact.derivative / DIVISOR);
            (total, size) = (total + value, size + value.abs());
            for (what, found, exact) in [("value", values[i], value), ("slope", gradient[i], slope)] {
                let found: f64 = found.into();
                // A soft label cancels against the sigmoid.
                let off = (found - exact).abs();
                assert!(off <= close * (exact.abs() + weight.abs()), "{what} {i}: {found} for {exact}");
                assert!(weight != 0.0 || found.to_bits() == 0, "{what} {i}: {found} where nothing counts");
            }
        }
        assert!((sum - total).abs() <= close * size, "{sum} for {total}");
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_pass_is_plain_arithmetic_whatever_the_table(plan in plan()) {
        let drawn = Drawn::new(&plan);
        let with_parameter = BceWithLogits::default().with_pos_weight(drawn.parameter.clone());
        drawn.check(&with_parameter);
        if plan.part.is_none() {
            drawn.check(&SigmoidFocal::default());
            drawn.check(&SquaredError);
        }
    }
}

/// From 32 MiB on a gradient is written past the caches, and from half a million entries on inputs are prefetched.
#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn a_gradient_that_leaves_the_caches_is_the_same() {
    let (rows, width) = (3, 3_000_001);
    let bytes: Vec<i8> = (0..rows * width).map(|i| [1, -1, 0, -1, -1, 0, 1][i % 7]).collect();
    let input: Vec<f32> = (0..rows * width).map(|i| (i % 11) as f32).collect();
    let table = Table { cells: Cells::Bytes(&bytes), rows, width, index: None };
    let exact = |i: usize| if bytes[i] < 0 { 0.0 } else { 2.0 * (input[i] - f32::from(bytes[i])) };
    let squares = |i: usize| (f64::from(exact(i)) / 2.0).powi(2);
    let sum: f64 = (0..input.len()).map(squares).sum();
    for (threads, offset) in [(1, 0), (2, 0), (1, 1), (2, 5)] {
        let mut gradient = vec![f32::NAN; input.len() + offset];
        let pass = Pass {
            entries: Entries::observed(&SquaredError),
            input: &input[..],
            gradient: Some(&mut gradient[offset..]),
            values: None,
            divisor: 1.0,
        };
        let found = match threads {
            1 => pass.labels(&Serial, &table, &Weights::default()),
            threads => pass.labels(&Spread(threads), &table, &Weights::default()),
        };
        assert_eq!(found, Ok(Some(sum)), "small integers are exact");
        assert!((0..input.len()).all(|i| gradient[offset + i] == exact(i)), "{threads} threads, offset {offset}");
    }
}

/// Sums of chunks are added up in `f64`.
#[test]
fn a_sum_keeps_what_f32_would_lose() {
    let large = (1u64 << 40) as f32; // half a unit in its last place is 65,536, more than a block adds
    let count = 5 * 16_384;
    let mut input = vec![1.0f32; count];
    // Nothing else in its chunk.
    input[..1024].fill(0.0);
    input[0] = large;
    let cells = vec![0i8; count];
    let table = Table { cells: Cells::Bytes(&cells), rows: count, width: 1, index: None };
    let loss = masked_loss_core::losses::AbsoluteError;
    let pass =
        Pass { entries: Entries::observed(&loss), input: &input[..], gradient: None, values: None, divisor: 1.0 };
    let found = pass.labels(&Serial, &table, &Weights::default());
    assert_eq!(found, Ok(Some(f64::from(large) + (count - 1024) as f64)));
}
