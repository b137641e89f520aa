//! Training.

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use masked_loss::Labels;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use tch::nn::{ModuleT, Optimizer, OptimizerConfig};
use tch::{Kind, Tensor, nn};

use crate::args::Training;
use crate::data::Table;
use crate::evaluate::{Evaluation, evaluate};
use crate::network::Network;
use crate::objective::Objective;
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
    let objective = Objective::new(&config.loss, &config.missing)?;

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
        let batches = batches.inspect(|_| bar.inc(1));
        let train_loss =
            train(&network, &mut adam, table, |logits, labels| objective.forward(logits, labels, epoch), batches)?;
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

/// One epoch; returns the mean loss over the labels that count.
fn train<'a>(
    network: &Network,
    adam: &mut Optimizer,
    table: &Table,
    sum_and_weight: impl Fn(&Tensor, &Labels) -> Result<(Tensor, Tensor)>,
    batches: impl Iterator<Item = &'a [i64]>,
) -> Result<f64> {
    let device = table.features.device();
    // Both stay on the device: to read them batch by batch would make a GPU wait.
    let [mut sums, mut weights] = [(); 2].map(|()| Tensor::zeros([], (Kind::Double, device)));
    for rows in batches {
        let index = Tensor::from_slice(rows).to_device(device);
        let logits = network.forward_t(&table.inputs(&index), true);
        let (sum, weight) = sum_and_weight(&logits, &table.labels.rows(&index)?)?;
        adam.backward_step(&(&sum / weight.clamp_min(1)));
        sums += sum.detach();
        weights += weight;
    }
    Ok((sums / weights).double_value(&[]))
}

fn score(validation: &Evaluation) -> f64 {
    validation.macro_auroc.unwrap_or(-validation.loss)
}

/// Hidden where standard error is no terminal.
fn progress(batches: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {elapsed} of {duration}  {msg}");
    ProgressBar::new(batches).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
