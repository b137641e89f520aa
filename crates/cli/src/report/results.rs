//! What the files of a report are made from.

use anyhow::Result;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::cli::training::Training;
use crate::data::Table;
use crate::run::evaluate::Scores;
use crate::run::progress::Epoch;
use crate::run::split::Split;

pub struct Results<'a> {
    pub table: &'a Table,
    pub split: &'a Split,
    pub training: &'a Training,
    /// `config.json`
    pub description: &'a Value,
    pub best_epoch: u64,
    pub history: &'a [Epoch],
    pub test: &'a Scores,
}

impl Results<'_> {
    /// How often each label is observed in the training rows.
    pub fn training_counts(&self) -> Result<Vec<usize>> {
        let counts = self.table.labels_of(&self.split.train)?.observed_per_label()?.to_device(Device::Cpu);
        let counts = Vec::<i64>::try_from(counts.to_kind(Kind::Int64))?;
        Ok(counts.into_iter().map(|count| count as usize).collect())
    }

    /// Probability and label of every observed test entry.
    pub fn entries(&self) -> Result<Vec<(f64, f64)>> {
        let labels = self.table.labels_of(&self.split.test)?.values()?.to_device(Device::Cpu);
        let observed = labels.isnan().logical_not();
        let entries = |tensor: &Tensor| -> Result<Vec<f64>> {
            Ok(Vec::try_from(tensor.masked_select(&observed).to_kind(Kind::Double))?)
        };
        Ok(entries(&self.test.probabilities)?.into_iter().zip(entries(&labels)?).collect())
    }
}
