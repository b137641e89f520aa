//! Training.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use masked_loss::{Accumulator, Labels, Linear, Reduction, RowGuard};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

use super::evaluate::{Evaluation, evaluate};
use super::output::Folder;
use super::progress::{Epoch, Progress};
use super::split::Split;
use super::stop::Stop;
use super::{checkpoint, events};
use crate::cli::training::Training;
use crate::data::Table;
use crate::model::network::Network;
use crate::model::objective::Objective;
use crate::model::optimizer::{Optimizer, Unobserved};

/// A network with the weights of its best epoch.
pub struct Fit {
    pub network: Network,
    pub best_epoch: u64,
    pub history: Vec<Epoch>,
}

/// How training ended.
pub enum Outcome {
    Trained(Fit),
    /// By a signal; the process ends with this status.
    Stopped(u8),
}

/// Trains from the start, and writes nothing.
pub fn fit(table: &Table, split: &Split, training: &Training) -> Result<Fit> {
    match Run::new(table, split, training)?.train(None)? {
        Outcome::Trained(fit) => Ok(fit),
        Outcome::Stopped(_) => unreachable!("only a run with a folder is stopped"),
    }
}

/// Training that can be stopped and resumed.
pub struct Run<'a> {
    table: &'a Table,
    split: &'a Split,
    /// The training rows, and their labels.
    rows: Tensor,
    labels: Labels,
    objective: Objective,
    network: Network,
    best: Network,
    optimizer: Optimizer,
    progress: Progress,
    /// The sum and the weight of the epoch's loss; on the device, so that a GPU need not wait for each step.
    totals: [Tensor; 2],
}

impl<'a> Run<'a> {
    pub fn new(table: &'a Table, split: &'a Split, training: &Training) -> Result<Self> {
        tch::manual_seed(training.seed);
        let device = table.features.device();
        let design = training.design(table.features.width(), table.label_names.len() as i64);
        let [mut network, mut best] = [Network::new(&design, device)?, Network::new(&design, device)?];
        let rows = Tensor::from_slice(&split.train).to_device(device);
        let labels = table.labels.rows(&rows)?;
        if training.standardize {
            let moments = table.features.moments(&rows);
            network.standardize(&moments);
            best.standardize(&moments);
        }
        Ok(Self {
            labels: if training.balanced { labels.with_balanced_weights()? } else { labels },
            rows,
            totals: [0.0; 2].map(|zero| scalar(zero, device)),
            table,
            split,
            objective: Objective::new(&training.loss, &training.missing, table.label_names.len())?,
            optimizer: {
                let Training { optimizer, weight_decay, unobserved, .. } = *training;
                Optimizer::new(optimizer, weight_decay, unobserved, &network.weights)?
            },
            network,
            best,
            progress: Progress::new(training),
        })
    }

    /// Resumes the run whose checkpoint is in the folder.
    pub fn resume(&mut self, folder: &Folder) -> Result<()> {
        let (progress, tensors) = checkpoint::read(folder.path())?;
        // These may differ from the checkpoint's options.
        let (epochs, patience, threads) =
            (progress.training.epochs, progress.training.patience, progress.training.threads);
        let device = self.progress.training.device;
        let asked = Training { epochs, patience, threads, device, ..self.progress.training.clone() };
        let began = Training { device, ..progress.training.clone() };
        if let Some(difference) = asked.difference(&began)? {
            bail!("the checkpoint was made with different options: {difference}");
        }
        // The files of the run must not claim fewer epochs than it trained.
        let trained = progress.history.len() as u64 + u64::from(progress.step > 0);
        let epochs = self.progress.training.epochs;
        ensure!(epochs >= trained, "--epochs {epochs} is below the {trained} epochs trained already");
        for (prefix, network) in [("network.", &self.network), ("best.", &self.best)] {
            network.restore(|name| tensors.get(&format!("{prefix}{name}")).map(Tensor::shallow_clone))?;
        }
        self.optimizer.restore(progress.steps, |name| tensors.get(name).map(Tensor::shallow_clone))?;
        self.totals = [progress.sum, progress.weight].map(|total| scalar(total, self.rows.device()));
        self.progress = Progress { training: self.progress.training.clone(), ..progress };
        self.write_events(folder)
    }

    /// Rewrites the events, so that each epoch occurs once.
    fn write_events(&self, folder: &Folder) -> Result<()> {
        folder.write(events::FILE, |path| events::write(path, &self.progress.history, &self.progress.times))
    }

    fn save(&mut self, folder: &Folder) -> Result<()> {
        [self.progress.sum, self.progress.weight] = [0, 1].map(|i| self.totals[i].double_value(&[]));
        let named = |prefix: &str, network: &Network| {
            let variables = network.named();
            variables.into_iter().map(|(name, weight)| (format!("{prefix}{name}"), weight)).collect::<Vec<_>>()
        };
        let mut tensors = self.optimizer.state()?;
        tensors.extend(named("network.", &self.network));
        tensors.extend(named("best.", &self.best));
        folder.write(checkpoint::FILE, |path| checkpoint::write(path, &self.progress, &tensors))?;
        self.write_events(folder)
    }

    /// Trains to the end or until a signal stops it. Writes a checkpoint to the folder after every epoch and when
    /// stopped. The best epoch is the one with the highest macro AUROC on the validation rows, or with the lowest loss
    /// if no label can be scored there.
    pub fn train(mut self, folder: Option<(&Folder, &Stop)>) -> Result<Outcome> {
        let training = self.progress.training.clone();
        let steps = self.split.train.len().div_ceil(training.batch_size as usize) as u64;
        let bar = progress_bar(steps.saturating_mul(training.epochs), self.progress.steps);
        while !self.progress.is_done() {
            let epoch = self.progress.epoch;
            let order = shuffled(self.split.train.len(), training.seed, epoch);
            let batches = order.chunks(training.batch_size as usize).skip(self.progress.step as usize);
            for batch in batches {
                self.step(batch, training.rate(self.progress.steps, steps.saturating_mul(training.epochs)))?;
                bar.inc(1);
                if let Some((folder, status)) = folder.and_then(|(folder, stop)| Some((folder, stop.asked()?))) {
                    bar.finish_and_clear();
                    self.save(folder)?;
                    return Ok(Outcome::Stopped(status));
                }
            }
            self.end_epoch()?;
            let Epoch { train_loss, .. } = self.progress.history[epoch as usize - 1];
            let best = self.progress.best_epoch;
            bar.set_message(format!("epoch {epoch}, loss {train_loss:.4}, best on validation in epoch {best}"));
            if let Some((folder, _)) = folder {
                self.save(folder)?;
            }
        }
        bar.finish_and_clear();
        let Progress { best_epoch, history, .. } = self.progress;
        Ok(Outcome::Trained(Fit { network: self.best, best_epoch, history }))
    }

    /// `batch`: positions among the training rows.
    fn step(&mut self, batch: &[i64], rate: f64) -> Result<()> {
        let Progress { training, epoch, steps, .. } = &self.progress;
        // Each step has its own random numbers, so that a resumed run draws the same ones.
        tch::manual_seed(mixed(training.seed, *steps));
        let mut window = Accumulator::new(Reduction::Mean)?;
        let mut observed = Vec::new();
        self.optimizer.updates.zero_grad()?;
        for part in batch.chunks(training.micro_batch.unwrap_or(u32::MAX) as usize) {
            let index = Tensor::from_slice(part).to_device(self.rows.device());
            let labels = self.labels.rows(&index)?;
            self.optimizer.updates.catch_up(&labels)?;
            let features = self.table.features.batch(&self.rows.index_select(0, &index));
            let (hidden, [weight, bias]) = (self.network.hidden(&features, true), self.network.output());
            let sparse_gradient = training.unobserved != Unobserved::Move;
            let output =
                Linear::new(&weight, Some(&bias)).with_head(training.head()).with_sparse_gradient(sparse_gradient);
            self.objective.backward(&mut window, &hidden, &output, &labels, *epoch)?;
            if training.guard {
                observed.push(labels.observed_per_label()?);
            }
        }
        let (sum, weight) = window.totals()?;
        let _ = window.finish(self.optimizer.weights())?;
        if let Some(norm) = training.clip {
            self.optimizer.clip_gradients(norm)?;
        }
        let guard = if training.guard { Some(self.guard(&observed)?) } else { None };
        self.optimizer.updates.step(rate)?;
        if let Some(guard) = guard {
            guard.restore()?;
        }
        self.progress.step += 1;
        self.progress.steps += 1;
        for (total, term) in self.totals.iter_mut().zip([sum, weight]) {
            *total += term;
        }
        Ok(())
    }

    fn guard(&self, observed: &[Tensor]) -> Result<RowGuard> {
        let observed = Tensor::stack(observed, 0).sum_dim_intlist(0i64, false, Kind::Int64);
        Ok(RowGuard::new(&observed, &self.network.output_rows().iter().collect::<Vec<_>>())?)
    }

    fn check_loss(&self, rows: &str, loss: f64) -> Result<()> {
        let Progress { training, epoch, .. } = &self.progress;
        let advice = if training.standardize { "a lower --lr" } else { "--standardize or a lower --lr" };
        ensure!(loss.is_finite(), "the {rows} loss became {loss} in epoch {epoch}; {advice} may help");
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<()> {
        let [sum, weight] = &self.totals;
        let train_loss = (sum / weight).double_value(&[]);
        // First, because scores of weights that are not finite say nothing.
        self.check_loss("training", train_loss)?;
        self.optimizer.updates.catch_up_all()?;
        let validation = evaluate(&self.network, self.table, &self.split.validation)?;
        self.check_loss("validation", validation.loss)?;
        let epoch = self.progress.epoch;
        let score = score(&validation);
        if self.progress.best_score.is_none_or(|best| score > best) {
            (self.progress.best_epoch, self.progress.best_score) = (epoch, Some(score));
            self.best.copy_from(&self.network)?;
        }
        self.progress.history.push(Epoch {
            train_loss,
            validation_loss: validation.loss,
            validation_macro_auroc: validation.macro_auroc,
            validation_scored_labels: validation.scored_labels,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.progress.times.push(now.as_secs_f64());
        (self.progress.epoch, self.progress.step) = (epoch + 1, 0);
        self.totals = [0.0; 2].map(|zero| scalar(zero, self.rows.device()));
        Ok(())
    }
}

/// Positions among the training rows, in the order of an epoch.
fn shuffled(rows: usize, seed: i64, epoch: u64) -> Vec<i64> {
    let mut order: Vec<_> = (0..rows as i64).collect();
    order.shuffle(&mut StdRng::seed_from_u64(mixed(seed, epoch) as u64));
    order
}

/// A different seed for each number.
fn mixed(seed: i64, number: u64) -> i64 {
    // An odd factor gives different products modulo 2^64.
    (seed as u64).wrapping_add((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) as i64
}

fn scalar(value: f64, device: Device) -> Tensor {
    Tensor::full([0i64; 0], value, (Kind::Double, device))
}

fn score(validation: &Evaluation) -> f64 {
    validation.macro_auroc.unwrap_or(-validation.loss)
}

/// Hidden if standard error is not a terminal.
fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {elapsed} of {duration}  {msg}");
    ProgressBar::new(steps).with_position(done).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
