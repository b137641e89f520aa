//! Every metric of one file of scores, as JSON: `scripts/verify_metrics.py` holds them against scikit-learn's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use masked_loss::Labels;
use masked_loss::metrics::{Metric, summarize};
use serde_json::{Map, Value, json};
use tch::Tensor;

/// Prints every metric of `scores` [N, C], probabilities, and `labels` [N, C], NaN where missing: for each label, the mean
/// over labels, and over all entries; null where the data does not define it.
#[derive(Parser)]
struct Arguments {
    /// Safetensors file to read
    file: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { file } = Arguments::parse();
    let tensors: BTreeMap<String, Tensor> = Tensor::read_safetensors(&file)?.into_iter().collect();
    let get = |name| tensors.get(name).with_context(|| format!("{}: there is no tensor `{name}`", file.display()));
    let (scores, labels) = (get("scores")?, Labels::from_nan(get("labels")?)?);
    let mut found = Map::new();
    for metric in Metric::all() {
        let summary = summarize(metric, scores, &labels)?;
        let numbers = json!({
            "per label": summary.per_label,
            "undefined": summary.undefined,
            "macro": summary.macro_mean,
            "micro": summary.micro,
        });
        found.insert(metric.name().to_owned(), numbers);
    }
    println!("{}", Value::Object(found));
    Ok(())
}
