//! The data of a report.

use anyhow::Result;
use serde_json::Value;
use tch::{Device, Kind};

use crate::cli::training::Training;
use crate::data::Table;
use crate::model::network::Network;
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
    pub network: &'a Network,
}

impl Results<'_> {
    /// How often each label is observed in the training rows.
    pub fn training_counts(&self) -> Result<Vec<usize>> {
        let counts = self.table.labels_of(&self.split.train)?.observed_per_label()?.to_device(Device::Cpu);
        let counts = Vec::<i64>::try_from(counts.to_kind(Kind::Int64))?;
        Ok(counts.into_iter().map(|count| count as usize).collect())
    }
}
