//! Training.

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use masked_loss::{BceWithLogits, Labels, Loss, Reduction};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use tch::nn::{ModuleT, Optimizer, OptimizerConfig};
use tch::{Kind, Tensor, nn};

use crate::args::{Missing, Training};
use crate::data::Table;
use crate::evaluate::{Evaluation, evaluate};
use crate::network::Network;
use crate::split::Split;

/// A network with the weights of its best epoch.
pub struct Fit {
    pub network: Network,
    pub best_epoch: u64,
    pub history: Vec<Epoch>,
}

#[derive(Serialize)]
pub struct Epoch {
    pub train_loss: f64,
    pub validation_loss: f64,
    pub validation_macro_auroc: Option<f64>,
}

/// The best epoch is the one with the highest macro AUROC on the validation rows; where no label can be scored there,
/// the one with the lowest loss.
pub fn fit(table: &Table, split: &Split, config: &Training) -> Result<Fit> {
    tch::manual_seed(config.seed);
    let mut rng = StdRng::seed_from_u64(config.seed as u64);
    let filled = (config.missing == Missing::Negative).then(|| taken_as_negative(&table.labels)).transpose()?;
    let targets = filled.as_ref().unwrap_or(&table.labels);

    let (inputs, labels) = (table.features.size()[1], table.label_names.len() as i64);
    let new = || Network::new(inputs, labels, config, table.features.device());
    let (mut network, mut best) = (new(), new());
    let mut adam = nn::Adam::default().build(&network.weights, config.lr)?;

    let mut order = split.train.clone();
    let batches = order.len().div_ceil(config.batch_size as usize) as u64;
    let bar = progress(batches.saturating_mul(config.epochs));
    let (mut best_epoch, mut best_score, mut history) = (0, f64::NEG_INFINITY, Vec::new());
    for epoch in 1..=config.epochs {
        order.shuffle(&mut rng);
        let batches = order.chunks(config.batch_size as usize);
        let train_loss = train(&network, &mut adam, table, targets, batches.inspect(|_| bar.inc(1)))?;
        let validation = evaluate(&network, table, &split.validation)?;
        for (rows, loss) in [("training", train_loss), ("validation", validation.loss)] {
            ensure!(loss.is_finite(), "the {rows} loss became {loss} in epoch {epoch}; a smaller --lr may help");
        }
        let score = score(&validation);
        if score > best_score {
            (best_epoch, best_score) = (epoch, score);
            best.copy_from(&network)?;
        }
        let auroc = validation.macro_auroc;
        bar.set_message(format!("epoch {epoch}, loss {train_loss:.4}, best on validation in epoch {best_epoch}"));
        history.push(Epoch { train_loss, validation_loss: validation.loss, validation_macro_auroc: auroc });
    }
    bar.finish_and_clear();
    network.copy_from(&best)?;
    Ok(Fit { network, best_epoch, history })
}

/// One epoch; returns the mean loss over its observed labels.
fn train<'a>(
    network: &Network,
    adam: &mut Optimizer,
    table: &Table,
    targets: &Labels,
    batches: impl Iterator<Item = &'a [i64]>,
) -> Result<f64> {
    let device = table.features.device();
    // Both stay on the device: to read them batch by batch would make a GPU wait.
    let mut sum = Tensor::zeros([], (Kind::Double, device));
    let mut count = Tensor::zeros([], (Kind::Int64, device));
    for rows in batches {
        let index = Tensor::from_slice(rows).to_device(device);
        let labels = targets.rows(&index)?;
        let logits = network.forward_t(&table.inputs(&index), true);
        let loss = BceWithLogits::default().forward(&logits, &labels, Reduction::Mean)?;
        adam.backward_step(&loss);
        let observed = labels.observed_count()?;
        sum += loss.detach() * &observed;
        count += observed;
    }
    Ok((sum / count).double_value(&[]))
}

/// The usual shortcut, to compare with.
fn taken_as_negative(labels: &Labels) -> Result<Labels> {
    Ok(Labels::complete(&labels.values()?.nan_to_num(0.0, None, None))?)
}

fn score(validation: &Evaluation) -> f64 {
    validation.macro_auroc.unwrap_or(-validation.loss)
}

/// Hidden where standard error is no terminal.
fn progress(batches: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {elapsed} of {duration}  {msg}");
    ProgressBar::new(batches).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
