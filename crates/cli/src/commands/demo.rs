//! `demo`: a synthetic problem whose every label is known.

use anyhow::Result;
use masked_loss::Labels;
use tch::{Device, Kind, Tensor};

use crate::cli::args::Demo;
use crate::cli::training::Training;
use crate::data::{Block, Features, Table};
use crate::model::objective;
use crate::report::terminal;
use crate::run::evaluate::{Evaluation, evaluate};
use crate::run::fit::fit;
use crate::run::split::Split;

const ROWS: i64 = 6000;
const FEATURES: i64 = 32;
const LABELS: i64 = 12;

/// Features, and all labels.
struct Problem {
    features: Tensor,
    truth: Tensor,
    split: Split,
    device: Device,
}

impl Problem {
    fn new(training: &Training, device: Device) -> Result<Self> {
        tch::manual_seed(training.seed);
        let features = Tensor::randn([ROWS, FEATURES], (Kind::Float, Device::Cpu));
        let truth = truth(&features);
        Ok(Self { features, truth, split: Split::random(ROWS, training.seed)?, device })
    }

    /// The labels where `observed` is 1, and all labels of the rows in `all_known`.
    fn table(&self, observed: &Tensor, all_known: &[&[i64]]) -> Result<Table> {
        let rows = Tensor::from_slice(&all_known.concat());
        let observed = observed.to_kind(Kind::Bool).index_fill(0, &rows, 1);
        let labels = Labels::from_mask(&self.truth, &observed)?;
        let label_names = (1..=LABELS).map(|label| format!("label {label}")).collect();
        let features = Features::new(vec![Block::Dense(self.features.shallow_clone())], None);
        Table { features, labels, label_names, numbered: false, split: None, group: None }.to_device(self.device)
    }

    fn share_observed(&self, table: &Table) -> Result<f64> {
        let train = Tensor::from_slice(&self.split.train).to_device(self.device);
        let train = table.labels.rows(&train)?;
        Ok(train.observed_count()?.double_value(&[]) / train.size().iter().product::<i64>() as f64)
    }

    /// Trains, and scores on the test rows.
    fn score(&self, table: &Table, missing: &str, training: &Training) -> Result<Evaluation> {
        let fit = fit(table, &self.split, &Training { missing: missing.to_owned(), ..training.clone() })?;
        evaluate(&fit.network, table, &self.split.test)
    }
}

pub fn run(Demo { policies, training }: &Demo) -> Result<()> {
    if *policies { compare_policies(training) } else { show(training) }
}

/// Trains on the same rows three times, and scores each network on all labels of the test rows.
fn show(training: &Training) -> Result<()> {
    let problem = Problem::new(training, training.start()?)?;
    let partial = problem.table(&observed_by_choice(&problem.features), &[&problem.split.test])?;
    let complete = problem.table(&problem.truth.ones_like(), &[])?;
    terminal::print(format_args!(
        "A synthetic problem: {ROWS} rows, {LABELS} labels; {:.0} % of the training labels are observed.\n\
         Three networks, scored on all labels of {} test rows:",
        100.0 * problem.share_observed(&partial)?,
        problem.split.test.len(),
    ))?;
    let mut runs = Vec::new();
    for (name, table, missing) in [
        ("left out of the loss", &partial, "ignore"),
        ("taken as negative", &partial, "negative"),
        ("none, all are known", &complete, "ignore"),
    ] {
        runs.push((name, problem.score(table, missing, training)?));
    }
    terminal::print(terminal::comparison(&runs))
}

/// Every policy, with labels hidden at random and with positives only. All labels of the validation and test rows are
/// known.
fn compare_policies(training: &Training) -> Result<()> {
    let problem = Problem::new(training, training.start()?)?;
    let random = Tensor::rand([ROWS, LABELS], (Kind::Float, Device::Cpu));
    let settings = [
        ("Half of the labels hidden at random", random.lt(0.5)),
        ("80 % of the labels hidden at random", random.lt(0.2)),
        ("One positive left per row", one_positive(&problem.truth)),
    ];
    for (name, observed) in settings {
        let table = problem.table(&observed, &[&problem.split.validation, &problem.split.test])?;
        terminal::print(format_args!(
            "{name}: {:.0} % of the training labels are observed.",
            100.0 * problem.share_observed(&table)?
        ))?;
        let runs: Vec<_> = objective::policies()
            .into_iter()
            .map(|policy| Ok((policy, problem.score(&table, policy, training)?)))
            .collect::<Result<_>>()?;
        terminal::print(terminal::comparison(&runs))?;
    }
    Ok(())
}

/// Labels drawn from a random network with one hidden layer.
fn truth(features: &Tensor) -> Tensor {
    let hidden = features.matmul(&projection(FEATURES, 64)).tanh();
    ((hidden.matmul(&projection(64, LABELS)) * 6.0) - 1.5).sigmoid().bernoulli()
}

/// Which labels of a row are measured depends on the row, as in a laboratory that chooses its tests.
fn observed_by_choice(features: &Tensor) -> Tensor {
    (features.matmul(&projection(FEATURES, LABELS)) * 2.0 - 2.0).sigmoid().bernoulli()
}

/// One random positive of each row that has any.
fn one_positive(truth: &Tensor) -> Tensor {
    let drawn = truth.rand_like() * truth;
    drawn.eq_tensor(&drawn.amax(1i64, true)).logical_and(&truth.gt(0.0))
}

fn projection(inputs: i64, outputs: i64) -> Tensor {
    Tensor::randn([inputs, outputs], (Kind::Float, Device::Cpu)) / (inputs as f64).sqrt()
}
