//! Raw labels of any type and with any rule for missing ones, compared with plain arithmetic.

use masked_loss_core::losses::{BceWithLogits, SquaredError};
use masked_loss_core::{
    Cells, CellsMut, Elementwise, Encoded, Entries, Observed, Pass, Raw, RawLabels, Table, Weights,
};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::case::{Spread, cases, shape};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    F32,
    F64,
    I64,
    I8,
    U8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    All,
    Bytes,
    Floats,
    NotNan,
    Not(f64),
}

/// What is wrong at one observed entry.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Label,
    Mask,
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    rows: usize,
    width: usize,
    labels: Type,
    rule: Rule,
    share: f64,
    soft: bool,
    fault: Option<Fault>,
    threads: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    use {Rule::*, Type::*};
    let labels = proptest::sample::select(vec![F32, F64, I64, I8, U8]);
    let rule = proptest::sample::select(vec![All, Bytes, Floats, NotNan, Not(-1.0), Not(0.1), Not(100.0)]);
    let fault = prop_oneof![3 => Just(None), 1 => Just(Some(Fault::Label)), 1 => Just(Some(Fault::Mask))];
    let share = prop_oneof![Just(0.0), 0.0..1.0, Just(1.0)];
    (any::<u64>(), shape(20_000), labels, rule, share, any::<bool>(), fault, 1..4usize).prop_map(
        |(seed, (rows, width), labels, rule, share, soft, fault, threads)| Plan {
            seed,
            rows,
            width,
            labels,
            rule,
            share,
            soft,
            fault,
            threads,
        },
    )
}

/// Labels as each type stores them, and a mask as each rule reads it.
struct Drawn {
    plan: Plan,
    /// The labels as numbers, and which are observed.
    numbers: Vec<f64>,
    observed: Vec<bool>,
    singles: Vec<f32>,
    long: Vec<i64>,
    bytes: Vec<i8>,
    unsigned: Vec<u8>,
    byte_mask: Vec<u8>,
    float_mask: Vec<f32>,
    /// Whether the fault has found a place.
    fault: Option<Fault>,
}

impl Drawn {
    fn new(plan: &Plan) -> Self {
        let mut rng = SmallRng::seed_from_u64(plan.seed);
        let is_float = matches!(plan.labels, Type::F32 | Type::F64);
        let soft: &[f64] = match plan.labels {
            Type::F32 => &[0.25, -3.0],
            Type::F64 => &[0.25, -3.0, 16_777_217.0],
            Type::I64 => &[2.0, -3.0, 16_777_217.0],
            _ => &[2.0, 5.0],
        };
        // What marks a missing label; `None` if nothing can.
        let garbage = match plan.rule {
            Rule::All => None,
            Rule::Bytes | Rule::Floats => Some(if is_float { f64::INFINITY } else { 77.0 }),
            Rule::NotNan => is_float.then_some(f64::NAN),
            Rule::Not(sentinel) => {
                let held = is_float || sentinel == 100.0 || sentinel == -1.0 && plan.labels != Type::U8;
                held.then_some(sentinel)
            }
        };
        let (mut numbers, mut observed) = (Vec::new(), Vec::new());
        for _ in 0..plan.rows * plan.width {
            let known = garbage.is_none() || rng.random_bool(plan.share);
            let hard = f64::from(rng.random_range(0..2u8));
            let label = if plan.soft && rng.random_bool(0.1) { soft[rng.random_range(0..soft.len())] } else { hard };
            numbers.push(garbage.filter(|_| !known).unwrap_or(label));
            observed.push(known);
        }
        let known: Vec<usize> = (0..observed.len()).filter(|&i| observed[i]).collect();
        let place = (!known.is_empty()).then(|| known[rng.random_range(0..known.len())]);
        let mut byte_mask: Vec<u8> = observed.iter().map(|&known| known.into()).collect();
        let mut float_mask: Vec<f32> = byte_mask.iter().map(|&known| known.into()).collect();
        let fault = plan.fault.filter(|&fault| match (fault, plan.rule) {
            (Fault::Label, _) => is_float,
            (Fault::Mask, Rule::Bytes | Rule::Floats) => true,
            _ => false,
        });
        let fault = fault.zip(place).map(|(fault, place)| {
            match fault {
                Fault::Label => numbers[place] = f64::NEG_INFINITY,
                Fault::Mask => (numbers[place], byte_mask[place], float_mask[place]) = (1.0, 2, 0.5),
            }
            fault
        });
        Self {
            plan: plan.clone(),
            singles: numbers.iter().map(|&y| y as f32).collect(),
            long: numbers.iter().map(|&y| y as i64).collect(),
            bytes: numbers.iter().map(|&y| y as i8).collect(),
            unsigned: numbers.iter().map(|&y| y as u8).collect(),
            numbers,
            observed,
            byte_mask,
            float_mask,
            fault,
        }
    }

    fn raw(&self) -> Raw<'_> {
        let labels = match self.plan.labels {
            Type::F32 => RawLabels::F32(&self.singles),
            Type::F64 => RawLabels::F64(&self.numbers),
            Type::I64 => RawLabels::I64(&self.long),
            Type::I8 => RawLabels::I8(&self.bytes),
            Type::U8 => RawLabels::U8(&self.unsigned),
        };
        let observed = match self.plan.rule {
            Rule::All => Observed::All,
            Rule::Bytes => Observed::Bytes(&self.byte_mask),
            Rule::Floats => Observed::Floats(&self.float_mask),
            Rule::NotNan => Observed::NotNan,
            Rule::Not(sentinel) => Observed::Not(sentinel),
        };
        Raw { labels, observed }
    }

    /// The observed labels, and NaN.
    fn exact(&self) -> impl Iterator<Item = f64> + '_ {
        self.numbers.iter().zip(&self.observed).map(|(&label, &known)| if known { label } else { f64::NAN })
    }

    fn range(&self) -> Option<(f64, f64)> {
        let known = || self.exact().filter(|label| !label.is_nan());
        known().min_by(f64::total_cmp).zip(known().max_by(f64::total_cmp))
    }

    fn check_encoding(&self) {
        let threads = &Spread(self.plan.threads);
        let count = self.observed.iter().filter(|&&known| known).count();
        let expected = (self.fault != Some(Fault::Mask)).then_some(count);
        assert_eq!(self.raw().count(threads).unwrap(), expected);

        let rows = self.observed.chunks(self.plan.width);
        let counts: Vec<i64> = rows.map(|row| row.iter().filter(|&&known| known).count() as i64).collect();
        let is_soft = |label: f64| !label.is_nan() && label != 0.0 && label != 1.0;
        let (sound, size) = (Encoded::Complete(self.range()), self.numbers.len());
        let sound = if self.fault.is_some() { Encoded::Faulty } else { sound };
        let encode = |cells: CellsMut<'_>, expected: Encoded| {
            let mut found = vec![-7; self.plan.rows];
            assert_eq!(self.raw().encode(threads, cells, &mut found).unwrap(), expected);
            assert!(found == counts || expected == Encoded::Faulty || expected == Encoded::Soft, "{found:?}");
        };
        let mut bytes = vec![9; size];
        let expected = if self.exact().any(is_soft) { Encoded::Soft } else { sound };
        encode(CellsMut::Bytes(&mut bytes), expected);
        if let Encoded::Complete(_) = expected {
            assert!(
                bytes.iter().zip(self.exact()).all(|(&y, exact)| y == if exact.is_nan() { -1 } else { exact as i8 })
            );
        }
        let mut doubles = vec![9.0; size];
        encode(CellsMut::F64(&mut doubles), sound);
        let same = |y: f64, exact: f64| y == exact || y.is_nan() && exact.is_nan();
        assert!(self.fault.is_some() || doubles.iter().zip(self.exact()).all(|(&y, exact)| same(y, exact)));
        if self.raw().labels.fit_f32() {
            let mut singles = vec![9.0; size];
            encode(CellsMut::F32(&mut singles), sound);
            assert!(self.fault.is_some() || singles.iter().zip(&doubles).all(|(&y, &exact)| same(y.into(), exact)));
        }
    }

    /// A pass over raw labels is one over the same labels encoded.
    fn check_pass(&self, loss: &impl Elementwise) {
        let threads = &Spread(self.plan.threads);
        let cells: Vec<f64> = self.exact().collect();
        let table = Table { cells: Cells::F64(&cells), rows: self.plan.rows, width: self.plan.width, index: None };
        let input: Vec<f32> = (0..cells.len()).map(|i| (i % 23) as f32 / 4.0 - 2.0).collect();
        let run = |raw: bool| {
            let [mut gradient, mut values] = [(); 2].map(|()| vec![f32::NAN; input.len()]);
            let pass = Pass {
                entries: Entries::observed(loss),
                input: &input[..],
                gradient: Some(&mut gradient),
                values: Some(&mut values),
                divisor: 3.0,
            };
            let sum =
                if raw { pass.raw(threads, &self.raw()) } else { pass.labels(threads, &table, &Weights::default()) };
            (sum.unwrap(), gradient, values)
        };
        let outside = |label: f64| !label.is_nan() && !loss.label_range().contains(&label);
        if self.fault.is_some() || cells.iter().any(|&label| outside(label)) {
            assert_eq!(run(true).0, None);
        } else {
            assert!(run(true) == run(false));
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn raw_labels_are_read_by_their_rule_whatever_their_type(plan in plan()) {
        let drawn = Drawn::new(&plan);
        drawn.check_encoding();
        drawn.check_pass(&SquaredError);
        drawn.check_pass(&BceWithLogits::default());
    }
}
