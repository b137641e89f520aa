//! The metrics of a file of scores: `scripts/verify_metrics.py` compares them with scikit-learn's.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use masked_loss::Labels;
use masked_loss::metrics::{Metric, summarize};
use serde_json::{Map, Value, json};

use crate::output::print;
use crate::tensors::Tensors;

/// Prints the metrics of a file of scores as JSON.
///
/// FILE holds `scores` [N, C], probabilities, and `labels` [N, C], NaN where missing. Every metric is printed for each
/// label, as the mean over labels, and over all entries; null where the data does not define it.
#[derive(Args)]
pub struct Arguments {
    /// Safetensors file to read
    file: PathBuf,
}

pub fn run(Arguments { file }: &Arguments) -> Result<()> {
    let metrics = metrics(Tensors::read(file)?).with_context(|| file.display().to_string())?;
    print(&Value::Object(metrics))
}

fn metrics(mut tensors: Tensors) -> Result<Map<String, Value>> {
    let (scores, labels) = (tensors.expect("scores")?, Labels::from_nan(&tensors.expect("labels")?)?);
    let metrics = Metric::all().into_iter().map(|metric| {
        let summary = summarize(metric, &scores, &labels)?;
        let numbers = json!({
            "per label": summary.per_label,
            "undefined": summary.undefined,
            "macro": summary.macro_mean,
            "micro": summary.micro,
        });
        Ok((metric.name().to_owned(), numbers))
    });
    metrics.collect()
}
