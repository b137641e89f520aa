//! Agreement with PyTorch, entry by entry: `scripts/golden.py` wrote the file.

use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Described, FocalNegative, Hill, Huber, NegativeEntropy,
    Settings, SigmoidFocal, SquaredError, UnbiasedBce,
};
use masked_loss_core::{Cells, Entries, Formula, Pass, Scalar, Serial, Storage, Table, Weights};

const FILE: &str = include_str!("../golden/losses.tsv");

/// Errors are counted in ULP of a number's terms: rounding in a few operations gives a few.
const LIMIT: f64 = 8.0;

/// A result as PyTorch computes it, and the size of the terms that it is the sum of.
struct Exact {
    number: f64,
    terms: f64,
}

struct Row {
    x: f64,
    y: f64,
    value: Exact,
    slope: Exact,
}

/// The losses of the file, each with its rows.
fn golden() -> Vec<(&'static str, Vec<Row>)> {
    let mut losses: Vec<(&str, Vec<Row>)> = Vec::new();
    for line in FILE.lines().skip(1) {
        let (loss, numbers) = line.split_once('\t').unwrap();
        let numbers: Vec<f64> = numbers.split('\t').map(|number| number.parse().unwrap()).collect();
        let [x, y, value, value_terms, slope, slope_terms] = numbers[..] else { panic!("{line}") };
        let [value, slope] =
            [(value, value_terms), (slope, slope_terms)].map(|(number, terms)| Exact { number, terms });
        if losses.last().is_none_or(|(last, _)| *last != loss) {
            losses.push((loss, Vec::new()));
        }
        losses.last_mut().unwrap().1.push(Row { x, y, value, slope });
    }
    losses
}

fn formula(text: &str) -> Box<dyn Formula> {
    fn with_settings<E: Formula + Settings + 'static>(text: &Described<'_>) -> Box<dyn Formula> {
        let mut loss = E::default();
        text.apply(loss.settings(), 1).unwrap();
        Box::new(loss)
    }
    if let Some(number) = text.strip_prefix("unbiased-bce:inverse_propensity=") {
        return Box::new(UnbiasedBce::new(vec![number.parse().unwrap()]));
    }
    let text = Described::new(text).unwrap();
    match text.name() {
        "bce" => with_settings::<BceWithLogits>(&text),
        "bce-probabilities" => with_settings::<BceProbabilities>(&text),
        "focal" => with_settings::<SigmoidFocal>(&text),
        "asymmetric" => with_settings::<Asymmetric>(&text),
        "hill" => with_settings::<Hill>(&text),
        "huber" => with_settings::<Huber>(&text),
        "squared" => with_settings::<SquaredError>(&text),
        "absolute" => with_settings::<AbsoluteError>(&text),
        "entropy" => with_settings::<NegativeEntropy>(&text),
        "focal-negative" => with_settings::<FocalNegative>(&text),
        name => panic!("no formula for {name}"),
    }
}

/// Computes the rows with numbers of one type, whose epsilon and smallest normal number are given.
fn agrees<F: Scalar + Storage<Number = F> + Into<f64>>(name: &str, rows: &[Row], epsilon: f64, smallest: f64) {
    let formula = formula(name);
    let input: Vec<F> = rows.iter().map(|row| F::from_f64(row.x)).collect();
    let labels: Vec<f64> = rows.iter().map(|row| row.y).collect();
    let table = Table { cells: Cells::F64(&labels), rows: rows.len(), width: 1, index: None };
    let [mut values, mut slopes] = [(); 2].map(|()| vec![F::from_f64(f64::NAN); rows.len()]);
    let (gradient, losses) = (Some(&mut slopes[..]), Some(&mut values[..]));
    let entries = Entries::observed(&*formula);
    let pass = Pass { entries, input: &input[..], gradient, values: losses, divisor: 1.0 };
    assert!(pass.labels(&Serial, &table, &Weights::default()).unwrap().is_some(), "{name}");
    for (i, Row { x, y, value, slope }) in rows.iter().enumerate() {
        for (what, found, exact) in [("value", values[i], value), ("slope", slopes[i], slope)] {
            let unit = epsilon * exact.terms.max(smallest);
            let found: f64 = found.into();
            let off = (found - exact.number).abs() / unit;
            assert!(off <= LIMIT, "{name}, {what} at x {x}, y {y}: {found} for {}, {off} ULP", exact.number);
        }
    }
}

#[test]
fn every_loss_is_what_pytorch_computes() {
    let golden = golden();
    assert!(golden.len() > 15 && golden.iter().all(|(_, rows)| rows.len() > 30));
    for (name, rows) in &golden {
        agrees::<f64>(name, rows, f64::EPSILON, f64::MIN_POSITIVE);
        agrees::<f32>(name, rows, f32::EPSILON.into(), f32::MIN_POSITIVE.into());
    }
}
