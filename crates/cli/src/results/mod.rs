//! What a run leaves to be looked at: charts, a page, the test rows' probabilities, events for TensorBoard.

mod calibration;
mod chart;
mod curves;
pub mod events;
mod labels;
mod observed;
mod page;
mod scale;
mod text;

use std::fs;

use anyhow::Result;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

pub use self::page::FILE as PAGE;
use crate::apply::write_csv;
use crate::args::Training;
use crate::data::Table;
use crate::evaluate::Scores;
use crate::fit::Epoch;
use crate::output::Folder;
use crate::split::Split;

const PREDICTIONS: &str = "predictions.csv";
/// All that [`Results::write`] and [`events::write`] leave.
pub const FILES: [&str; 7] =
    ["curves.svg", "labels.svg", "calibration.svg", "observed.svg", PAGE, PREDICTIONS, events::FILE];

pub struct Results<'a> {
    pub table: &'a Table,
    pub split: &'a Split,
    pub training: &'a Training,
    /// `config.json`
    pub config: &'a Value,
    pub best_epoch: u64,
    pub history: &'a [Epoch],
    pub test: &'a Scores,
}

impl Results<'_> {
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let names = &self.table.label_names;
        let trained = self.trained()?;
        let charts = [
            curves::chart(self.history, self.best_epoch, self.training),
            labels::chart(&self.test.evaluation, &trained),
            calibration::chart(&self.entries()?, self.test.probabilistic.calibration_error.micro),
            observed::chart(&self.table.labels, names)?,
        ];
        for chart in &charts {
            folder.write(chart.file, |path| Ok(fs::write(path, chart.file())?))?;
        }
        folder.write(PAGE, |path| Ok(fs::write(path, page::page(self, &trained, &charts))?))?;
        folder.write(PREDICTIONS, |path| write_csv(path, Some(&self.split.test), &self.test.probabilities, names))
    }

    /// How often each label is observed in the training rows.
    fn trained(&self) -> Result<Vec<usize>> {
        let rows = Tensor::from_slice(&self.split.train).to_device(self.table.features.device());
        let counts = self.table.labels.rows(&rows)?.observed_per_label()?.to_device(Device::Cpu);
        let counts = Vec::<i64>::try_from(counts.to_kind(Kind::Int64))?;
        Ok(counts.into_iter().map(|count| count as usize).collect())
    }

    /// Probability and label of every observed test entry.
    fn entries(&self) -> Result<Vec<(f64, f64)>> {
        let rows = Tensor::from_slice(&self.split.test).to_device(self.table.features.device());
        let flat = |tensor: &Tensor| -> Result<Vec<f64>> {
            Ok(Vec::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Double).reshape([-1]))?)
        };
        let labels = flat(&self.table.labels.rows(&rows)?.values()?)?;
        let entries = flat(&self.test.probabilities)?.into_iter().zip(labels);
        Ok(entries.filter(|(_, label)| !label.is_nan()).collect())
    }
}
