//! Scores of a network, over observed labels only.

use anyhow::{Result, bail};
use masked_loss::metrics::{Metric, auroc, average_precision, summarize};
use masked_loss::{BceWithLogits, Labels, Loss, Reduction};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::data::{Features, Table, chunk};
use crate::model::network::Network;

#[derive(Serialize)]
pub struct Evaluation {
    /// Cross entropy, averaged over the observed labels.
    pub loss: f64,
    pub macro_auroc: Option<f64>,
    pub macro_average_precision: Option<f64>,
    /// How many labels could be scored and are in the macro averages.
    pub scored_labels: usize,
    pub labels: Vec<LabelScore>,
}

impl Evaluation {
    fn of(logits: &Tensor, labels: &Labels, names: &[String]) -> Result<Self> {
        let loss = BceWithLogits::default().forward(logits, labels, Reduction::Mean)?.double_value(&[]);
        let (rows, values) = (logits.size()[0], labels.values()?);
        let mut labels = Vec::new();
        // Some labels at a time: the numbers become `f64`.
        let block = chunk(rows);
        for names in names.chunks(block as usize) {
            let [logits, values] =
                [logits, &values].map(|matrix| by_label(&matrix.narrow(1, labels.len() as i64, names.len() as i64)));
            let (logits, values) = (logits?, values?);
            let columns = logits.chunks(rows as usize).zip(values.chunks(rows as usize));
            labels.extend(
                names.iter().zip(columns).map(|(name, (logits, labels))| LabelScore::new(name, logits, labels)),
            );
        }
        Ok(Self {
            loss,
            macro_auroc: mean(labels.iter().filter_map(|label| label.auroc)),
            macro_average_precision: mean(labels.iter().filter_map(|label| label.average_precision)),
            scored_labels: labels.iter().filter(|label| label.auroc.is_some()).count(),
            labels,
        })
    }
}

#[derive(Serialize)]
pub struct LabelScore {
    pub name: String,
    pub observed: usize,
    /// Soft labels count as positive from one half.
    pub positive: usize,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
}

impl LabelScore {
    /// `labels` is NaN where missing.
    fn new(name: &str, logits: &[f64], labels: &[f64]) -> Self {
        let observed = logits.iter().zip(labels).filter(|(_, label)| !label.is_nan());
        let (scores, positive): (Vec<f64>, Vec<bool>) = observed.map(|(logit, &label)| (*logit, label >= 0.5)).unzip();
        let auroc = auroc(&scores, &positive);
        Self {
            name: name.to_owned(),
            observed: scores.len(),
            positive: positive.iter().filter(|&&positive| positive).count(),
            auroc,
            // Where all are positive it would be 1 whatever the scores: such a label says nothing in a mean.
            average_precision: auroc.and(average_precision(&scores, &positive)),
        }
    }
}

/// Scores of the probabilities themselves and not only of their order, over the observed entries.
#[derive(Serialize)]
pub struct Probabilistic {
    pub brier: Means,
    pub log_loss: Means,
    pub calibration_error: Means,
}

#[derive(Serialize)]
pub struct Means {
    /// Over the labels that have an observed entry.
    #[serde(rename = "macro")]
    pub of_labels: Option<f64>,
    /// How many labels that mean is over.
    pub macro_labels: usize,
    pub micro: Option<f64>,
}

impl Probabilistic {
    /// Bins of the calibration error.
    pub const BINS: usize = 15;

    pub fn of(probabilities: &Tensor, labels: &Labels) -> Result<Self> {
        let means = |metric| -> Result<Means> {
            let summary = summarize(metric, probabilities, labels)?;
            let macro_labels = summary.per_label.len() - summary.undefined;
            Ok(Means { of_labels: summary.macro_mean, macro_labels, micro: summary.micro })
        };
        Ok(Self {
            brier: means(Metric::Brier)?,
            log_loss: means(Metric::LogLoss)?,
            calibration_error: means(Metric::CalibrationError { bins: Self::BINS })?,
        })
    }
}

/// All scores of some rows.
#[derive(Serialize)]
pub struct Scores {
    #[serde(flatten)]
    pub evaluation: Evaluation,
    #[serde(flatten)]
    pub probabilistic: Probabilistic,
    /// `[N, C]`, `f64` on the CPU.
    #[serde(skip)]
    pub probabilities: Tensor,
}

impl Scores {
    pub fn of(network: &Network, table: &Table, rows: &[i64]) -> Result<Self> {
        let (logits, labels) = observed_logits(network, table, rows)?;
        let probabilities = logits.to_device(Device::Cpu).to_kind(Kind::Double).sigmoid();
        Ok(Self {
            evaluation: Evaluation::of(&logits, &labels, &table.label_names)?,
            probabilistic: Probabilistic::of(&probabilities, &labels.to_device(Device::Cpu)?)?,
            probabilities,
        })
    }
}

/// The logits of some rows.
pub fn logits(network: &Network, features: &Features, rows: &[i64]) -> Tensor {
    /// Bounds the memory that the hidden layers take.
    const CHUNK: i64 = 4096;
    let index = Tensor::from_slice(rows).to_device(features.device());
    let chunk = CHUNK.min(chunk(features.width()));
    tch::no_grad(|| {
        let chunks = index.split(chunk, 0).into_iter().map(|rows| network.logits(&features.batch(&rows)));
        Tensor::cat(&chunks.collect::<Vec<_>>(), 0)
    })
}

pub fn evaluate(network: &Network, table: &Table, rows: &[i64]) -> Result<Evaluation> {
    let (logits, labels) = observed_logits(network, table, rows)?;
    Evaluation::of(&logits, &labels, &table.label_names)
}

/// The logits and the labels of some rows; an error where the logit of an observed label is not finite.
fn observed_logits(network: &Network, table: &Table, rows: &[i64]) -> Result<(Tensor, Labels)> {
    let (logits, labels) = (logits(network, &table.features, rows), table.labels_of(rows)?);
    ensure_finite(&logits, Some(&labels.observed()?), rows, &table.label_names)?;
    Ok((logits, labels))
}

/// An infinite logit is refused like NaN: its probability is 0 or 1, but its loss may be infinite. `counted`: the entries
/// that matter, all of them where there is none.
pub fn ensure_finite(logits: &Tensor, counted: Option<&Tensor>, rows: &[i64], names: &[String]) -> Result<()> {
    let faults = logits.isfinite().logical_not();
    let faults = counted.map_or_else(|| faults.shallow_clone(), |counted| faults.logical_and(counted)).nonzero();
    let count = faults.size()[0];
    if count == 0 {
        return Ok(());
    }
    let [row, label] = [0, 1].map(|axis| faults.int64_value(&[0, axis]));
    bail!(
        "{count} scores of the network are not finite, the first that of label {:?} in data row {}: {}; \
         training with --standardize or a lower --lr may help",
        names[label as usize],
        rows[row as usize] + 1,
        logits.double_value(&[row, label])
    )
}

/// The elements of a matrix, column by column.
fn by_label(matrix: &Tensor) -> Result<Vec<f64>> {
    let columns = matrix.to_device(Device::Cpu).to_kind(Kind::Double).tr().contiguous();
    Ok(Vec::try_from(columns.flatten(0, -1))?)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
