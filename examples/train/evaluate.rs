//! What a network's scores are worth, over observed labels only.

use anyhow::Result;
use masked_loss::metrics::{auroc, average_precision};
use masked_loss::{BceWithLogits, Loss, Reduction};
use serde::Serialize;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

use crate::data::{Features, Table, chunk};
use crate::network::Network;

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

/// What the network says of some rows.
pub fn logits(network: &Network, features: &Features, rows: &[i64]) -> Tensor {
    /// Bounds the memory that the hidden layers take.
    const CHUNK: i64 = 4096;
    let index = Tensor::from_slice(rows).to_device(features.device());
    let chunk = CHUNK.min(chunk(features.width()));
    tch::no_grad(|| {
        let chunks = index.split(chunk, 0).into_iter().map(|rows| network.forward_t(&features.inputs(&rows), false));
        Tensor::cat(&chunks.collect::<Vec<_>>(), 0)
    })
}

pub fn evaluate(network: &Network, table: &Table, rows: &[i64]) -> Result<Evaluation> {
    let logits = logits(network, &table.features, rows);
    let labels = table.labels.rows(&Tensor::from_slice(rows).to_device(table.features.device()))?;
    let loss = BceWithLogits::default().forward(&logits, &labels, Reduction::Mean)?.double_value(&[]);

    let (logits, values) = (by_label(&logits)?, by_label(&labels.values()?)?);
    let columns = logits.chunks(rows.len()).zip(values.chunks(rows.len()));
    let labels: Vec<_> = table
        .label_names
        .iter()
        .zip(columns)
        .map(|(name, (logits, labels))| LabelScore::new(name, logits, labels))
        .collect();
    Ok(Evaluation {
        loss,
        macro_auroc: mean(labels.iter().filter_map(|label| label.auroc)),
        macro_average_precision: mean(labels.iter().filter_map(|label| label.average_precision)),
        scored_labels: labels.iter().filter(|label| label.auroc.is_some()).count(),
        labels,
    })
}

/// A matrix column by column.
fn by_label(matrix: &Tensor) -> Result<Vec<f64>> {
    let columns = matrix.to_device(Device::Cpu).to_kind(Kind::Double).tr().contiguous();
    Ok(Vec::try_from(columns.flatten(0, -1))?)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
