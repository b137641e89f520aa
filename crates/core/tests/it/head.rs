//! A last layer with its loss: agreement with the oracle, zero, reproducibility, and what is refused.

use masked_loss_core::losses::{BceProbabilities, BceWithLogits, SigmoidFocal};
use masked_loss_core::{
    Cells, Dual, Elementwise, EntryWeights, HeadGradients, HeadPass, LayerGradients, Linear, Serial, Sparse, Threads,
    Touched, Weights,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::case::Spread;

/// Rows, labels, width and share of observed entries.
const SHAPES: &[(usize, usize, usize, f64)] = if cfg!(miri) {
    &[(5, 7, 3, 0.4)]
} else {
    &[
        (40, 30, 65, 0.1),
        (300, 50, 16, 0.3),
        (7, 2000, 5, 0.6),
        (3, 700, 33, 1.0),
        (1, 1, 1, 1.0),
        (9, 5000, 8, 0.0),
        (5, 5000, 4, 0.002),
        (0, 4, 3, 1.0),
        (20, 4, 0, 0.5),
        (2000, 3, 20, 0.01),
    ]
};

struct Case {
    shape: (usize, usize, usize),
    hidden: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    starts: Vec<i64>,
    columns: Vec<i32>,
    cells: Vec<i8>,
}

impl Case {
    fn draw(seed: u64, (rows, labels, width, share): (usize, usize, usize, f64)) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        // Multiples of 1/8 that are small: no logit is rounded.
        let mut numbers = |count: usize| (0..count).map(|_| rng.random_range(-8..8) as f32 / 8.0).collect();
        let (hidden, weight, bias) = (numbers(rows * width), numbers(labels * width), numbers(labels));
        let (mut starts, mut columns, mut cells) = (vec![0], Vec::new(), Vec::new());
        for _ in 0..rows {
            for label in 0..labels {
                if rng.random_bool(share) {
                    columns.push(label as i32);
                    cells.push(i8::from(rng.random_bool(0.4)));
                }
            }
            starts.push(columns.len() as i64);
        }
        Self { shape: (rows, labels, width), hidden, weight, bias, starts, columns, cells }
    }

    fn labels<'a>(&'a self, index: Option<&'a [i64]>) -> Sparse<'a> {
        let (starts, columns, cells) = (&self.starts[..], &self.columns[..], Cells::Bytes(&self.cells));
        Sparse { starts, columns, cells, labels: self.shape.1, index }
    }

    fn linear(&self) -> Linear<'_, f32> {
        Linear { hidden: &self.hidden, weight: &self.weight, bias: Some(&self.bias), width: self.shape.2 }
    }
}

/// Loss and gradients of hidden vectors, weights and biases.
#[derive(Debug, PartialEq)]
struct Found<F> {
    sum: F,
    hidden: Vec<F>,
    weight: Vec<F>,
    bias: Vec<F>,
}

struct Call<'a, E> {
    formula: &'a E,
    linear: Linear<'a, f32>,
    labels: Sparse<'a>,
    weights: Weights<'a>,
}

impl<E: Elementwise> Call<'_, E> {
    /// None where a logit is not accepted.
    fn run(&self, threads: &dyn Threads, packed: bool) -> Option<Found<f32>> {
        let Self { formula, linear, ref labels, ref weights } = *self;
        let touched = Touched::new(labels);
        let rows = if packed { touched.labels().len() } else { labels.labels };
        let [mut hidden, mut weight, mut bias] =
            [linear.hidden.len(), rows * linear.width, rows].map(|count| vec![f32::NAN; count]);
        let layer = LayerGradients { touched: &touched, packed, weight: Some(&mut weight), bias: Some(&mut bias) };
        let gradients = HeadGradients { hidden: Some(&mut hidden), layer: Some(layer) };
        let sum = HeadPass { formula, linear, gradients, divisor: DIVISOR }.run(threads, labels, weights).unwrap()?;
        Some(Found { sum: sum as f32, hidden, weight, bias })
    }

    /// The same in `f64`, entry by entry, each number with the sum of its terms' sizes.
    fn exact(&self, weight_of: impl Fn(usize, usize, usize) -> f64) -> Found<[f64; 2]> {
        let (linear, labels) = (&self.linear, &self.labels);
        let (all, width) = (labels.labels, linear.width);
        let [hidden, weight, bias] = [linear.hidden.len(), all * width, all].map(|count| vec![[0.0; 2]; count]);
        let mut exact = Found { sum: [0.0; 2], hidden, weight, bias };
        let add = |to: &mut [f64; 2], term: f64| *to = [to[0] + term, to[1] + term.abs()];
        for (row, entry, label) in entries(labels) {
            let pairs = (0..width).map(|i| (row * width + i, label * width + i));
            let number = |numbers: &[f32], place: usize| f64::from(numbers[place]);
            let dot: f64 = pairs.clone().map(|(h, w)| number(linear.hidden, h) * number(linear.weight, w)).sum();
            let bias = linear.bias.map_or(0.0, |bias| number(bias, label));
            let Cells::Bytes(cells) = labels.cells else { unreachable!() };
            let (x, y) = (Dual::variable(dot + bias), Dual::fixed(f64::from(cells[entry])));
            let loss = match self.formula.parameter() {
                Some((_, numbers)) => self.formula.entry_with(&x, &y, &Dual::fixed(numbers[label])),
                None => self.formula.entry(&x, &y),
            };
            let weight = weight_of(row, entry, label);
            let slope = weight * loss.derivative / DIVISOR;
            add(&mut exact.sum, weight * loss.value);
            add(&mut exact.bias[label], slope);
            for (h, w) in pairs {
                add(&mut exact.hidden[h], slope * number(linear.weight, w));
                add(&mut exact.weight[w], slope * number(linear.hidden, h));
            }
        }
        exact
    }
}

/// What divides the gradients.
const DIVISOR: f64 = 4.0;

/// Row, entry of the table and label of what is observed in these rows.
fn entries(labels: &Sparse<'_>) -> Vec<(usize, usize, usize)> {
    let of = |row| labels.row(row).map(move |entry| (row, entry, labels.columns[entry] as usize));
    (0..labels.rows()).flat_map(of).collect()
}

fn agrees(what: &str, found: &Found<f32>, exact: &Found<[f64; 2]>) {
    for (name, found, exact) in [
        ("sum", &vec![found.sum], &vec![exact.sum]),
        ("hidden", &found.hidden, &exact.hidden),
        ("weight", &found.weight, &exact.weight),
        ("bias", &found.bias, &exact.bias),
    ] {
        assert_eq!(found.len(), exact.len(), "{what}, {name}");
        for (&found, &[exact, size]) in found.iter().zip(exact) {
            // As for a pass over logits, and what adding up terms loses.
            let close = (f64::from(found) - exact).abs() <= 6e-6 * size + 1e-7;
            assert!(close, "{what}, {name}: {found}, should be {exact}");
        }
    }
}

#[test]
fn a_layer_with_its_loss_agrees_with_the_oracle() {
    for (seed, &shape) in SHAPES.iter().enumerate() {
        let case = Case::draw(seed as u64, shape);
        let numbers = |count: usize| -> Vec<f64> { (0..count).map(|i| 0.5 + (i % 5) as f64).collect() };
        let (of_rows, of_labels, of_entries) = (numbers(shape.0), numbers(shape.1), numbers(case.columns.len()));
        let pos_weight = Some(of_labels.clone());
        let (bce, weighted) =
            (BceWithLogits::default(), BceWithLogits::default().with_pos_weight(pos_weight).with_label_smoothing(0.1));
        let backwards: Vec<i64> = (0..shape.0 as i64).rev().collect();
        for index in [None, Some(&backwards[..])] {
            let (linear, labels, what) = (case.linear(), case.labels(index), format!("{shape:?}, {index:?}"));
            let call = Call { formula: &bce, linear, labels, weights: Weights::default() };
            agrees(&what, &call.run(&Serial, false).unwrap(), &call.exact(|_, _, _| 1.0));
            let call = Call {
                formula: &SigmoidFocal::default(),
                linear: Linear { bias: None, ..linear },
                labels,
                weights: call.weights,
            };
            agrees(&what, &call.run(&Serial, false).unwrap(), &call.exact(|_, _, _| 1.0));
            let entries = Some(EntryWeights::F64(&of_entries));
            let weights = Weights { entries, rows: Some(&of_rows), labels: Some(&of_labels) };
            let call = Call { formula: &weighted, linear, labels, weights };
            let product = |row: usize, entry: usize, label: usize| of_rows[row] * of_entries[entry] * of_labels[label];
            agrees(&what, &call.run(&Serial, false).unwrap(), &call.exact(product));
        }
    }
}

#[test]
fn the_bits_depend_on_no_thread_and_on_no_unobserved_weight() {
    for (seed, &shape) in SHAPES.iter().enumerate() {
        let case = Case::draw(seed as u64, shape);
        let (formula, labels, weights) = (&BceWithLogits::default(), case.labels(None), Weights::default());
        let call = Call { formula, linear: case.linear(), labels, weights };
        let found = call.run(&Serial, false).unwrap();
        for threads in [2, 3, 7] {
            assert!(call.run(&Spread(threads), false).unwrap() == found, "{shape:?}, {threads} threads");
        }

        // Gradients of what is touched alone are those of all, and the others are 0.
        let (touched, packed, width) = (Touched::new(&labels), call.run(&Spread(2), true).unwrap(), shape.2);
        assert_eq!((packed.sum, &packed.hidden), (found.sum, &found.hidden));
        let (mut weight, mut bias) = (vec![0.0; shape.1 * width], vec![0.0; shape.1]);
        for (place, &label) in touched.labels().iter().enumerate() {
            let label = label as usize;
            weight[label * width..][..width].copy_from_slice(&packed.weight[place * width..][..width]);
            bias[label] = packed.bias[place];
        }
        assert!((weight, bias) == (found.weight.clone(), found.bias.clone()), "{shape:?}");

        let is_observed = |label: usize| touched.labels().binary_search(&(label as i32)).is_ok();
        let spoilt = |numbers: &[f32], width: usize, used: &dyn Fn(usize) -> bool| -> Vec<f32> {
            let spoilt = |(place, &number)| if used(place / width.max(1)) { number } else { f32::NAN };
            numbers.iter().enumerate().map(spoilt).collect()
        };
        let has_entries = |row: usize| !labels.row(row).is_empty();
        let (hidden, weight) = (spoilt(&case.hidden, width, &has_entries), spoilt(&case.weight, width, &is_observed));
        let bias = spoilt(&case.bias, 1, &is_observed);
        let linear = Linear { hidden: &hidden, weight: &weight, bias: Some(&bias), width };
        assert!(Call { linear, ..call }.run(&Serial, false).unwrap() == found, "{shape:?}, spoilt");
    }
}

#[test]
fn logits_alone_are_those_of_observed_entries() {
    for (seed, &shape) in SHAPES.iter().enumerate() {
        let case = Case::draw(seed as u64, shape);
        let backwards: Vec<i64> = (0..shape.0 as i64).rev().collect();
        for (index, bias) in [(None, Some(&case.bias[..])), (Some(&backwards[..]), None)] {
            let (labels, linear) = (case.labels(index), Linear { bias, ..case.linear() });
            let expected: Vec<f32> = entries(&labels)
                .into_iter()
                .map(|(row, _, label)| {
                    let vector = |matrix: &[f32], row: usize| matrix[row * shape.2..][..shape.2].to_vec();
                    let pairs = vector(linear.hidden, row).into_iter().zip(vector(linear.weight, label));
                    // No term is rounded.
                    pairs.map(|(a, b)| a * b).sum::<f32>() + bias.map_or(0.0, |bias| bias[label])
                })
                .collect();
            for threads in [1, 3] {
                let mut found = vec![f32::NAN; expected.len()];
                linear.logits(&Spread(threads), &labels, &mut found).unwrap();
                assert!(found == expected, "{shape:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn numbers_that_weigh_nothing_or_are_not_wanted_are_left_out() {
    let case = Case::draw(7, SHAPES[0]);
    let (formula, labels) = (&BceWithLogits::default(), case.labels(None));
    let of = |linear, weights| Call { formula, linear, labels, weights }.run(&Serial, false).unwrap();
    // A row that weighs 0 may hold anything.
    let heavy: Vec<f64> = (0..case.shape.0).map(|row| f64::from(row != 3)).collect();
    let weights = Weights { rows: Some(&heavy), ..Weights::default() };
    let expected = of(case.linear(), weights);
    let mut hidden = case.hidden.clone();
    hidden[3 * case.shape.2..4 * case.shape.2].fill(0.0);
    hidden[3 * case.shape.2] = f32::INFINITY;
    let found = of(Linear { hidden: &hidden, ..case.linear() }, weights);
    assert_eq!((found.sum, &found.bias), (expected.sum, &expected.bias));

    // Without gradients the sum is the same.
    let linear = case.linear();
    let gradients = HeadGradients { hidden: None, layer: None };
    let sum = HeadPass { formula, linear, gradients, divisor: 1.0 }.run(&Serial, &labels, &weights).unwrap();
    assert_eq!(sum.map(|sum| sum as f32), Some(expected.sum));
}

#[test]
fn an_observed_logit_that_is_not_accepted_is_found() {
    let (hidden, weight, starts) = ([1.0f32, 0.5], [0.5f32, 4.0], [0, 1, 2]);
    let linear = Linear { hidden: &hidden, weight: &weight, bias: None, width: 1 };
    let of = |columns: &[i32]| {
        let labels = Sparse { starts: &starts, columns, cells: Cells::F64(&[1.0, 0.25]), labels: 2, index: None };
        let gradients = HeadGradients { hidden: None, layer: None };
        let pass = HeadPass { formula: &BceProbabilities, linear, gradients, divisor: 1.0 };
        pass.run(&Serial, &labels, &Weights::default()).unwrap()
    };
    // The first row's probabilities are 0.5 and 4, the second one's 0.25 and 2.
    assert!(of(&[0, 0]).is_some());
    assert_eq!(of(&[0, 1]), None);
    assert_eq!(of(&[1, 0]), None);
}
