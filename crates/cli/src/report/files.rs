//! The files of a report.

use std::fs;

use anyhow::Result;
use tch::Kind;

use super::charts::{calibration, curves, observed, scores};
use super::page;
use super::predictions;
use super::results::Results;
use crate::note::note;
use crate::run::output::Folder;

pub const PAGE: &str = "report.html";
const PREDICTIONS: &str = "predictions.csv";
/// All that [`write`] leaves.
pub const ALL: [&str; 6] = [curves::FILE, scores::FILE, calibration::FILE, observed::FILE, PAGE, PREDICTIONS];

pub fn write(results: &Results, folder: &Folder) -> Result<()> {
    let names = &results.table.label_names;
    let trained = results.training_counts()?;
    let charts = [
        curves::chart(results.history, results.best_epoch, results.training),
        scores::chart(&results.test.evaluation, &trained),
        calibration::chart(&results.entries()?, results.test.probabilistic.calibration_error.micro),
        observed::chart(&results.table.labels, names)?,
    ];
    for chart in &charts {
        folder.write(chart.file, |path| Ok(fs::write(path, chart.alone())?))?;
    }
    folder.write(PAGE, |path| Ok(fs::write(path, page::page(results, &trained, &charts))?))?;
    let (rows, probabilities) = (&results.split.test, &results.test.probabilities);
    let nan = probabilities.isnan().sum(Kind::Int64).int64_value(&[]);
    if nan > 0 {
        note(format!("{nan} scores of entries without a label are NaN: their cells in {PREDICTIONS} are empty"));
    }
    folder.write(PREDICTIONS, |path| predictions::write_csv(path, Some(rows), probabilities, names))
}
