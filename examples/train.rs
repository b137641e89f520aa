//! Trains a small network on labels of which four in five were never measured.
//!
//! The truth of this synthetic problem is known. So the test rows show what it costs to take missing labels as negative
//! instead of leaving them out of the loss, and how close the latter comes to knowing all labels.
//!
//! `scripts/with-libtorch cargo run --release --example train`

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use masked_loss::metrics::{Metric, summarize};
use masked_loss::{BceWithLogits, Labels, Loss, Missing, Reduction};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

const TRAINING_ROWS: i64 = 5000;
const TEST_ROWS: i64 = 1000;
const FEATURES: i64 = 32;
const LABELS: i64 = 12;
const HIDDEN: i64 = 200;
const EPOCHS: usize = 12;
const BATCH_SIZE: i64 = 128;

fn main() -> Result<()> {
    tch::set_num_threads(1); // on matrices this small, several threads mostly wait for each other
    tch::manual_seed(0);
    let features = normal(TRAINING_ROWS + TEST_ROWS, FEATURES);
    let truth = draw_truth(&features);
    let measured = draw_measured(&features);

    // Made and checked once for the whole table. `from_nan` takes labels that are NaN where missing.
    let training = |table: &Tensor| table.narrow(0, 0, TRAINING_ROWS);
    let partial = Labels::from_mask(&training(&truth), &training(&measured))?;
    let complete = Labels::complete(&training(&truth))?;

    let test = |table: &Tensor| table.narrow(0, TRAINING_ROWS, TEST_ROWS);
    let (test_features, test_labels) = (test(&features), Labels::complete(&test(&truth))?);

    println!(
        "{TRAINING_ROWS} training rows, {LABELS} labels; macro AUROC on {TEST_ROWS} rows whose every label is known\n"
    );
    println!("missing labels are    measured  test AUROC  trained in");
    let run = |name: &str, loss: &dyn Loss, labels: &Labels| -> Result<f64> {
        let start = Instant::now();
        let network = train(loss, &training(&features), labels)?;
        let scores = tch::no_grad(|| network.forward(&test_features));
        let auroc =
            summarize(Metric::Auroc, &scores, &test_labels)?.macro_mean.context("a label has only one class")?;
        let measured = labels.observed_count()?.double_value(&[]) / (TRAINING_ROWS * LABELS) as f64;
        let seconds = start.elapsed().as_secs_f64();
        println!("{name:<20}  {:>6.1} %  {auroc:>10.3}  {seconds:>8.1} s", 100.0 * measured);
        Ok(auroc)
    };
    let bce = BceWithLogits::default;
    let left_out = run("left out of the loss", &bce(), &partial)?;
    let negative = run("taken as negative", &bce().with_missing(Missing::Negative), &partial)?;
    let all_known = run("none, all are known", &bce(), &complete)?;

    ensure!(left_out > negative, "leaving missing labels out must be better than taking them as negative");
    ensure!(all_known - left_out < left_out - negative, "leaving missing labels out must come close to knowing them");
    Ok(())
}

fn train(loss: &dyn Loss, features: &Tensor, labels: &Labels) -> Result<nn::Sequential> {
    tch::manual_seed(1); // the same weights at the start, and the same batches, for every network
    let variables = nn::VarStore::new(Device::Cpu);
    let root = variables.root();
    let network = nn::seq()
        .add(nn::linear(&root, FEATURES, HIDDEN, Default::default()))
        .add_fn(Tensor::relu)
        .add(nn::linear(&root, HIDDEN, LABELS, Default::default()));
    let mut optimizer = nn::Adam::default().build(&variables, 1e-3)?;
    for _ in 0..EPOCHS {
        for rows in Tensor::randperm(TRAINING_ROWS, (Kind::Int64, Device::Cpu)).split(BATCH_SIZE, 0) {
            let logits = network.forward(&features.index_select(0, &rows));
            let mean = loss.forward(&logits, &labels.rows(&rows)?, Reduction::Mean)?;
            optimizer.backward_step(&mean);
        }
    }
    Ok(network)
}

/// Labels that a random network draws, about a third of them positive.
fn draw_truth(features: &Tensor) -> Tensor {
    let hidden = (features.matmul(&normal(FEATURES, 64)) / (FEATURES as f64).sqrt()).tanh();
    let logits: Tensor = hidden.matmul(&normal(64, LABELS)) * 0.75 - 1.5;
    logits.sigmoid().bernoulli()
}

/// Which labels of a row are measured depends on the row, as in a laboratory that chooses what to test for what.
fn draw_measured(features: &Tensor) -> Tensor {
    let logits: Tensor = features.matmul(&normal(FEATURES, LABELS)) * (2.0 / (FEATURES as f64).sqrt()) - 2.0;
    logits.sigmoid().bernoulli()
}

fn normal(rows: i64, columns: i64) -> Tensor {
    Tensor::randn([rows, columns], (Kind::Float, Device::Cpu))
}
