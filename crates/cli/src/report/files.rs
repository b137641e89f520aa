//! The files of a report.

use std::fs;

use anyhow::Result;

use super::charts::{calibration, curves, observed, scores};
use super::page;
use super::predictions;
use super::results::Results;
use crate::note::note;
use crate::run::output::Folder;
use crate::run::predict::{Wanted, predict};

pub const PAGE: &str = "report.html";
const PREDICTIONS: &str = "predictions.csv";
/// With more than `WIDE` labels, predictions.csv has the `TOP` highest of each row.
const WIDE: usize = 2000;
const TOP: i64 = 20;
/// It then stops at the rows with this many logits, which take one processor core about ten seconds.
const LOGITS: usize = 1 << 30;
/// All files that [`write`] creates.
pub const ALL: [&str; 6] = [curves::FILE, scores::FILE, calibration::FILE, observed::FILE, PAGE, PREDICTIONS];

pub fn write(results: &Results, folder: &Folder) -> Result<()> {
    let names = &results.table.label_names;
    let trained = results.training_counts()?;
    let charts = [
        curves::chart(results.history, results.best_epoch, results.training),
        scores::chart(&results.test.evaluation, &trained),
        calibration::chart(results.test.probabilities.all(), results.test.probabilistic.calibration_error.micro),
        observed::chart(results.table)?,
    ];
    for chart in &charts {
        folder.write(chart.file, |path| Ok(fs::write(path, chart.alone())?))?;
    }
    folder.write(PAGE, |path| Ok(fs::write(path, page::page(results, &trained, &charts))?))?;
    let rows = &results.split.test;
    let (wanted, rows) = match names.len() > WIDE {
        true => (Wanted::Top(TOP), &rows[..rows.len().min(LOGITS / names.len())]),
        false => (Wanted::All, &rows[..]),
    };
    if rows.len() < results.split.test.len() {
        let (some, all) = (rows.len(), results.split.test.len());
        note(format!(
            "{PREDICTIONS} has only the first {some} of {all} test rows; predict --top writes all rows of a table"
        ));
    }
    let parts = predict(results.network, &results.table.features, rows, wanted).map(Ok);
    let mut empty = 0;
    folder.write(PREDICTIONS, |path| match wanted {
        Wanted::Top(_) => predictions::write_top_csv(path, names, parts),
        Wanted::All => {
            empty = predictions::write_csv(path, true, names, parts)?;
            Ok(())
        }
    })?;
    if empty > 0 {
        note(format!("{empty} scores of missing entries are NaN, so their cells in {PREDICTIONS} are empty"));
    }
    Ok(())
}
