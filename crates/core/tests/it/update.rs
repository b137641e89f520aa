//! Update rules: agreement with the textbook, rows that catch up, rows that stay, threads.

use std::panic::catch_unwind;

use masked_loss_core::{Moving, Rule, Scalar, Serial, Step, Threads};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::case::Spread;

const RULES: [Rule; 4] = [Rule::Sgd { momentum: 0.9 }, Rule::Sgd { momentum: 0.0 }, Rule::ADAM, Rule::ADAM_W];
const DECAYS: [f64; 2] = [0.0, 0.01];

/// A weight of so many rows, and what is remembered of it.
#[derive(Clone, Debug, PartialEq)]
struct Weight<F> {
    width: usize,
    weight: Vec<F>,
    first: Vec<F>,
    second: Vec<F>,
}

impl<F: Scalar> Weight<F> {
    fn draw(rng: &mut SmallRng, rows: usize, width: usize, rule: Rule) -> Self {
        let zeros = vec![F::default(); rows * width];
        let second = if rule.has_second() { zeros.clone() } else { Vec::new() };
        Self { width, weight: numbers(rng, rows * width), first: zeros, second }
    }

    fn moving(&mut self) -> Moving<'_, F> {
        let Self { width, weight, first, second } = self;
        Moving { weight, first, second, width: *width }
    }
}

fn numbers<F: Scalar>(rng: &mut SmallRng, count: usize) -> Vec<F> {
    (0..count).map(|_| F::from_f64(rng.random_range(-1.0..1.0))).collect()
}

/// A rate that changes, as of a schedule.
fn step(rule: Rule, number: u64, decay: f64) -> Step {
    rule.step(number, 0.01 / (1.0 + number as f64 / 50.0), decay)
}

fn each_rule(check: impl Fn(Rule, f64)) {
    for rule in RULES {
        DECAYS.iter().for_each(|&decay| check(rule, decay));
    }
}

#[test]
fn a_step_is_that_of_the_textbook() {
    each_rule(|rule, decay| {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut found: Weight<f64> = Weight::draw(&mut rng, 5, 7, rule);
        let (mut weights, mut m, mut v) = (found.weight.clone(), vec![0.0; 35], vec![0.0; 35]);
        for number in 1..=if cfg!(miri) { 3 } else { 200 } {
            let gradient: Vec<f64> = numbers(&mut rng, 35);
            let rate = 0.01 / (1.0 + number as f64 / 50.0);
            found.moving().step(&Serial, &step(rule, number, decay), &gradient).unwrap();
            for i in 0..35 {
                let (w, mut g) = (weights[i], gradient[i]);
                weights[i] = match rule {
                    Rule::Sgd { momentum } => {
                        m[i] = momentum * m[i] + g + decay * w;
                        w - rate * m[i]
                    }
                    Rule::Adam { betas: [a, b], epsilon } | Rule::AdamW { betas: [a, b], epsilon } => {
                        let coupled = matches!(rule, Rule::Adam { .. });
                        g += if coupled { decay * w } else { 0.0 };
                        m[i] = a * m[i] + (1.0 - a) * g;
                        v[i] = b * v[i] + (1.0 - b) * g * g;
                        let (m, v) = (m[i] / (1.0 - a.powi(number as i32)), v[i] / (1.0 - b.powi(number as i32)));
                        w - rate * m / (v.sqrt() + epsilon) - if coupled { 0.0 } else { rate * decay * w }
                    }
                    _ => unreachable!(),
                };
            }
        }
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(found.weight.iter().zip(&weights).all(close), "{rule:?} {decay}");
    });
}

/// Steps with the gradient of a few rows: all rows move, or these rows alone after they have caught up.
fn catch_up<F: Scalar>(rule: Rule, decay: f64, threads: &dyn Threads, last: u64) -> [Weight<F>; 2] {
    let (rows, width) = (23, 9);
    let mut rng = SmallRng::seed_from_u64(2);
    let mut dense = Weight::draw(&mut rng, rows, width, rule);
    let mut sparse: Weight<F> = dense.clone();
    let (mut steps, mut taken) = (Vec::new(), vec![0; rows]);
    // Long enough that what is remembered of some rows becomes too small to compute with.
    for number in 1..=last {
        let touched: Vec<i32> = match number {
            0..400 => (0..rows as i32 - 1).filter(|_| rng.random_bool(0.1)).collect(),
            2400 => vec![0, 5],
            _ => vec![1],
        };
        let part: Vec<F> = numbers(&mut rng, touched.len() * width);
        let mut gradient = vec![F::default(); rows * width];
        for (part, &row) in part.chunks(width).zip(&touched) {
            gradient[row as usize * width..][..width].copy_from_slice(part);
        }
        let now = step(rule, number, decay);
        dense.moving().step(threads, &now, &gradient).unwrap();
        let missed: Vec<usize> = touched.iter().map(|&row| taken[row as usize]).collect();
        sparse.moving().replay(threads, &steps, &touched, &missed).unwrap();
        steps.push(now);
        sparse.moving().step_rows(threads, &now, &touched, &part).unwrap();
        touched.iter().for_each(|&row| taken[row as usize] = steps.len());
    }
    let all: Vec<i32> = (0..rows as i32).collect();
    sparse.moving().replay(threads, &steps, &all, &taken).unwrap();
    [dense, sparse]
}

#[test]
fn rows_that_catch_up_have_the_bits_of_steps_of_all_rows() {
    fn check<F: Scalar>() {
        each_rule(|rule, decay| {
            let [dense, sparse] = catch_up::<F>(rule, decay, &Serial, if cfg!(miri) { 20 } else { 2500 });
            assert!(bits(&dense) == bits(&sparse), "{rule:?} {decay}");
        });
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn steps_are_the_same_bits_for_any_number_of_threads() {
    each_rule(|rule, decay| {
        let [alone, together] =
            [&Serial as &dyn Threads, &Spread(3)].map(|threads| catch_up::<f32>(rule, decay, threads, 30));
        assert!(alone.iter().zip(&together).all(|(a, b)| bits(a) == bits(b)), "{rule:?} {decay}");
    });
}

/// Of all numbers; each is one in `f64`, too.
fn bits<F: Scalar>(weight: &Weight<F>) -> Vec<u64> {
    [&weight.weight, &weight.first, &weight.second].into_iter().flatten().map(|x| x.to_f64().to_bits()).collect()
}

#[test]
fn rows_without_a_gradient_keep_their_bits() {
    each_rule(|rule, decay| {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut weight: Weight<f32> = Weight::draw(&mut rng, 6, 4, rule);
        for number in 1..5 {
            let gradient: Vec<f32> = numbers(&mut rng, 24);
            weight.moving().step(&Serial, &step(rule, number, decay), &gradient).unwrap();
        }
        let before = weight.clone();
        let gradient: Vec<f32> = numbers(&mut rng, 8);
        weight.moving().step_rows(&Serial, &step(rule, 5, decay), &[1, 4], &gradient).unwrap();
        for row in 0..6 {
            let same = before.weight[4 * row..][..4] == weight.weight[4 * row..][..4]
                && before.first[4 * row..][..4] == weight.first[4 * row..][..4];
            assert_eq!(same, ![1, 4].contains(&row), "{rule:?}, row {row}");
        }
    });
}

#[test]
fn what_is_remembered_never_becomes_too_small_to_compute_with() {
    let mut weight = Weight { width: 1, weight: vec![1f32], first: vec![0.0], second: vec![0.0] };
    for number in 1..4000 {
        let gradient = if number == 1 { 1e-17 } else { 0.0 };
        weight.moving().step(&Serial, &Rule::ADAM.step(number, 1e-3, 0.0), &[gradient]).unwrap();
        assert!(!weight.first[0].is_subnormal() && !weight.second[0].is_subnormal(), "step {number}");
    }
    assert_eq!((weight.first[0], weight.second[0]), (0.0, 0.0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |rows: &[i32], gradient: usize| {
        let (rows, gradient) = (rows.to_vec(), vec![0f32; gradient]);
        catch_unwind(move || {
            let mut weight = Weight { width: 2, weight: vec![0f32; 6], first: vec![0.0; 6], second: vec![0.0; 6] };
            let _ = weight.moving().step_rows(&Serial, &Rule::ADAM.step(1, 0.1, 0.0), &rows, &gradient);
        })
        .is_err()
    };
    assert!(!refused(&[0, 2], 4));
    assert!(refused(&[0, 3], 4) && refused(&[-1, 2], 4) && refused(&[1, 1], 4) && refused(&[2, 0], 4));
    assert!(refused(&[0, 2], 3));
    let not_valid = |rule: Rule| rule.validate().unwrap_err().to_string();
    assert!(RULES.iter().all(|rule| rule.validate().is_ok()));
    assert!(
        not_valid(Rule::Sgd { momentum: f64::NAN }).starts_with("momentum: expected a finite number of at least 0.0")
    );
    assert!(not_valid(Rule::Adam { betas: [0.9, 1.0], epsilon: 1e-8 }).ends_with("found 1"));
    assert!(not_valid(Rule::AdamW { betas: [0.9, 0.999], epsilon: -1.0 }).starts_with("epsilon: "));
}
