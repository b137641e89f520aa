//! The progress of a run.

use serde::{Deserialize, Serialize};

use crate::cli::training::Training;

#[derive(Clone, Serialize, Deserialize)]
pub struct Epoch {
    pub train_loss: f64,
    pub validation_loss: f64,
    pub validation_macro_auroc: Option<f64>,
    /// Number of labels in that mean.
    pub validation_scored_labels: usize,
}

/// Random numbers follow from the seed and the step, so they need no state here.
#[derive(Clone, Serialize, Deserialize)]
pub struct Progress {
    pub training: Training,
    /// The current epoch, counted from 1.
    pub epoch: u64,
    /// Number of its steps that are done, and the sum and the weight of their losses.
    pub step: u64,
    pub sum: f64,
    pub weight: f64,
    /// Steps done in all epochs.
    pub steps: u64,
    pub best_epoch: u64,
    /// None before the first epoch is over.
    pub best_score: Option<f64>,
    pub history: Vec<Epoch>,
    /// When the epochs ended, in seconds since 1970.
    pub times: Vec<f64>,
}

impl Progress {
    pub fn new(training: &Training) -> Self {
        Self {
            training: training.clone(),
            epoch: 1,
            step: 0,
            sum: 0.0,
            weight: 0.0,
            steps: 0,
            best_epoch: 0,
            best_score: None,
            history: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Whether the last epoch is over, or patience has run out.
    pub fn is_done(&self) -> bool {
        let stale = (self.epoch - 1).saturating_sub(self.best_epoch);
        self.epoch > self.training.epochs || self.training.patience.is_some_and(|patience| stale >= patience)
    }
}
