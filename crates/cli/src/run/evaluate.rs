//! Scores of a network, over observed labels only.

use anyhow::{Error, Result, anyhow};
use masked_loss::metrics::{ByLabel, Metric, auroc, average_precision};
use masked_loss::{BceWithLogits, Labels, Linear, Loss, Reduction};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::data::{Table, chunk};
use crate::model::network::Network;

#[derive(Serialize)]
pub struct Evaluation {
    /// Cross entropy, averaged over the observed labels.
    pub loss: f64,
    pub macro_auroc: Option<f64>,
    pub macro_average_precision: Option<f64>,
    /// Number of labels that could be scored; the macro averages are over these.
    pub scored_labels: usize,
    pub labels: Vec<LabelScore>,
}

impl Evaluation {
    fn of(found: &Found, names: &[String]) -> Result<Self> {
        let by_label = ByLabel::of_observed(&found.logits, &found.labels)?;
        let score = |(label, name): (usize, &String)| LabelScore::new(name, by_label.label(label));
        let labels: Vec<_> = names.iter().enumerate().map(score).collect();
        Ok(Self {
            loss: found.loss,
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
    /// Soft labels of at least 0.5 count as positive.
    pub positive: usize,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
}

impl LabelScore {
    fn new(name: &str, [scores, labels]: [&[f64]; 2]) -> Self {
        let positive: Vec<bool> = labels.iter().map(|&label| label >= 0.5).collect();
        let auroc = auroc(scores, &positive);
        Self {
            name: name.to_owned(),
            observed: scores.len(),
            positive: positive.iter().filter(|&&positive| positive).count(),
            auroc,
            // If all are positive, it would be 1 for any scores: such a label says nothing in a mean.
            average_precision: auroc.and(average_precision(scores, &positive)),
        }
    }
}

/// Scores that depend on the probabilities and not only on their order, over the observed entries.
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
    /// Number of labels in that mean.
    pub macro_labels: usize,
    pub micro: Option<f64>,
}

impl Probabilistic {
    /// Bins of the calibration error.
    pub const BINS: usize = 15;

    fn of(probabilities: &ByLabel) -> Result<Self> {
        let means = |metric| -> Result<Means> {
            let summary = probabilities.summarize(metric)?;
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
    /// The probabilities of the observed entries.
    #[serde(skip)]
    pub probabilities: ByLabel,
}

impl Scores {
    pub fn of(network: &Network, table: &Table, rows: &[i64]) -> Result<Self> {
        let found = Found::of(network, table, rows)?;
        // Before the probabilities are computed: holding both takes twice the memory.
        let evaluation = Evaluation::of(&found, &table.label_names)?;
        let probabilities = found.logits.to_kind(Kind::Double).sigmoid();
        let probabilities = ByLabel::of_observed(&probabilities, &found.labels)?;
        Ok(Self { evaluation, probabilistic: Probabilistic::of(&probabilities)?, probabilities })
    }
}

pub fn evaluate(network: &Network, table: &Table, rows: &[i64]) -> Result<Evaluation> {
    Evaluation::of(&Found::of(network, table, rows)?, &table.label_names)
}

/// The labels of some rows, and the logits of the observed entries, row by row.
struct Found {
    logits: Tensor,
    labels: Labels,
    loss: f64,
}

/// Computing one observed logit by itself takes about as long as this many in a matrix product.
const FEW: i64 = 8;

impl Found {
    /// Fails if an observed logit is not finite.
    fn of(network: &Network, table: &Table, rows: &[i64]) -> Result<Self> {
        let (labels, all) = (table.labels_of(rows)?, table.label_names.len() as i64);
        // If more are observed, a matrix product is faster.
        let few = labels.device() == Device::Cpu
            && FEW * labels.observed_count()?.int64_value(&[]) <= rows.len() as i64 * all;
        let width = if few { network.hidden_width() } else { all };
        let (mut logits, mut sum, mut count) = (Vec::new(), 0.0, 0.0);
        for rows in parts(rows, table.features.width().max(width)) {
            let (batch, labels) = (table.features.batch(&table.features.index(rows)), table.labels_of(rows)?);
            let part = tch::no_grad(|| -> Result<_> {
                let [weight, bias] = network.output();
                let (hidden, output) = (network.hidden(&batch, false), Linear::new(&weight, Some(&bias)));
                match few {
                    true => Ok(output.observed_logits(&hidden, &labels)?),
                    false => Ok(output.logits(&hidden)?.masked_select(&labels.observed()?)),
                }
            })?;
            let [_, _, values] = labels.to_entries()?;
            let loss = BceWithLogits::default();
            let (loss, entries) = loss.sum_and_weight(&part, &Labels::complete(&values)?, Reduction::Mean)?;
            (sum, count) = (sum + loss.double_value(&[]), count + entries.double_value(&[]));
            logits.push(part);
        }
        let loss = if count > 0.0 { sum / count } else { 0.0 };
        let found = Self { logits: Tensor::cat(&logits, 0).to_kind(Kind::Float), labels, loss };
        let faults = found.logits.isfinite().logical_not().nonzero().flatten(0, -1);
        if faults.size()[0] > 0 {
            let [in_rows, columns, _] = found.labels.to_entries()?;
            let entry = faults.int64_value(&[0]);
            let (row, label) = (rows[in_rows.int64_value(&[entry]) as usize], columns.int64_value(&[entry]));
            return Err(not_finite(&table.label_names[label as usize], row, found.logits.double_value(&[entry])));
        }
        Ok(found)
    }
}

/// An infinite logit is refused like NaN: its probability is 0 or 1, but its loss may be infinite.
pub fn not_finite(label: &str, row: i64, logit: f64) -> Error {
    anyhow!(
        "the score of label {label:?} in data row {} is not finite: {logit}; training with --standardize or a lower --lr \
         may help",
        row + 1
    )
}

/// Splits rows of `width` numbers into parts.
pub fn parts(rows: &[i64], width: i64) -> impl Iterator<Item = &[i64]> {
    /// Bounds the memory that the hidden layers take.
    const MOST: i64 = 4096;
    rows.chunks(MOST.min(chunk(width)) as usize)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
