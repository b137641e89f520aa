//! Data with only one recorded positive in each row: what should a missing label count as?
//!
//! Nobody recorded a negative, so leaving missing labels out of the loss teaches the network to call everything positive.
//! `with_missing` makes them count. `Missing::catalogue` lists the policies; `docs/missing.md` names their papers.
//!
//! `scripts/with-libtorch cargo run --release --example positives_only`

use anyhow::{Context, Result, ensure};
use masked_loss::metrics::{Metric, summarize};
use masked_loss::{BceWithLogits, Labels, Loss, Missing, Reduction};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

const ROWS: i64 = 4000; // to train on, and as many to test
const FEATURES: i64 = 32;
const LABELS: i64 = 12;
const HIDDEN: i64 = 64;
const STEPS: usize = 50;

fn main() -> Result<()> {
    tch::set_num_threads(1); // on matrices this small, several threads mostly wait for each other
    tch::manual_seed(0);
    let normal = |rows, columns| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu));
    let features = normal(2 * ROWS, FEATURES);
    let hidden = (features.matmul(&normal(FEATURES, 64)) / (FEATURES as f64).sqrt()).tanh();
    let logits: Tensor = hidden.matmul(&normal(64, LABELS)) * 0.75 - 2.5;
    let truth = logits.sigmoid().bernoulli();
    let (training_features, test_features) = (features.narrow(0, 0, ROWS), features.narrow(0, ROWS, ROWS));
    let (training_truth, test_truth) = (truth.narrow(0, 0, ROWS), truth.narrow(0, ROWS, ROWS));

    let labels = Labels::from_mask(&training_truth, &one_positive(&training_truth))?;
    let test_labels = Labels::complete(&test_truth)?;
    let share = |part: f64| 100.0 * part / (ROWS * LABELS) as f64;
    println!(
        "{:.1} % of the labels are positive, {:.1} % were recorded; macro AUROC on rows whose every label is known\n",
        share(training_truth.sum(Kind::Double).double_value(&[])),
        share(labels.observed_count()?.double_value(&[])),
    );

    println!("missing labels count as  test AUROC  mean probability");
    let mut aurocs = Vec::new();
    for (name, missing) in Missing::catalogue() {
        let loss = BceWithLogits::default().with_missing(missing);
        let network = train(&loss, &training_features, &labels)?;
        let probabilities = tch::no_grad(|| network.forward(&test_features).sigmoid());
        let auroc = summarize(Metric::Auroc, &probabilities, &test_labels)?.macro_mean;
        let auroc = auroc.context("a label has only one class")?;
        println!("{name:<23}  {auroc:>10.3}  {:>16.3}", probabilities.mean(Kind::Double).double_value(&[]));
        aurocs.push((name, auroc));
    }
    let of = |name| aurocs.iter().find(|(known, _)| *known == name).map(|(_, auroc)| *auroc).context(name);
    ensure!(of("negative")? > of("ignore")?, "negatives must be better than none");
    ensure!(of("weak-negative")? > of("negative")?, "weak negatives must be better, as most negatives are a guess");
    Ok(())
}

fn train(loss: &dyn Loss, features: &Tensor, labels: &Labels) -> Result<nn::Sequential> {
    tch::manual_seed(1); // the same weights at the start for every policy
    let variables = nn::VarStore::new(Device::Cpu);
    let root = variables.root();
    let network = nn::seq()
        .add(nn::linear(&root, FEATURES, HIDDEN, Default::default()))
        .add_fn(Tensor::relu)
        .add(nn::linear(&root, HIDDEN, LABELS, Default::default()));
    let mut optimizer = nn::Adam::default().build(&variables, 0.01)?;
    for _ in 0..STEPS {
        optimizer.backward_step(&loss.forward(&network.forward(features), labels, Reduction::MeanAll)?);
    }
    Ok(network)
}

/// A random one of each row's positives; none of a row that has none.
fn one_positive(truth: &Tensor) -> Tensor {
    let drawn = truth.rand_like() * truth;
    drawn.eq_tensor(&drawn.amax(1i64, true)).logical_and(&truth.gt(0.0))
}
