//! The cases to check and time, by name.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::{Context, Result, bail};
use masked_loss::{Labels, Loss, Raw, Reduction, Weights, catalogue};
use tch::{Device, Tensor};

use crate::serve::{Outcome, Run};
use crate::tensors::Tensors;

const SENTINEL: f64 = -1.0;

#[derive(Clone, Copy)]
enum Weighting {
    None,
    PerEntry,
    PerRowAndLabel,
}

/// The logits of a batch, a table of labels for several batches, and the first batch's labels in each raw form.
pub struct Cases {
    loss: Box<dyn Loss>,
    logits: Tensor,
    table: Tensor,
    row_weights: Tensor,
    label_weights: Tensor,
    indices: Vec<Tensor>,
    nan: Tensor,
    sentinel: Tensor,
    labels: Tensor,
    mask: Tensor,
    /// By weighting; made at first use.
    tables: [OnceCell<Labels>; 3],
}

impl Cases {
    pub fn read(loss: &str, file: &Path, device: Device) -> Result<Self> {
        let named =
            catalogue().into_iter().find(|named| named.name == loss).context("there is no loss of that name")?;
        let mut tensors = Tensors::read(file)?;
        let mut get = |name| -> Result<Tensor> {
            Ok(tensors.expect(name).with_context(|| file.display().to_string())?.f_to_device(device)?)
        };
        let (logits, table, indices) = (get("logits")?, get("labels")?, get("indices")?.f_unbind(0)?);
        let inputs = if named.input_range == (0.0..=1.0) { logits.f_sigmoid()? } else { logits };
        let nan = table.f_index_select(0, &indices[0])?;
        let missing = nan.f_isnan()?;
        Ok(Self {
            loss: named.loss,
            logits: inputs.f_set_requires_grad(true)?,
            row_weights: get("row_weights")?,
            label_weights: get("label_weights")?,
            sentinel: nan.f_masked_fill(&missing, SENTINEL)?,
            labels: nan.f_masked_fill(&missing, 0.0)?,
            mask: missing.f_logical_not()?,
            tables: Default::default(),
            table,
            indices,
            nan,
        })
    }

    pub fn device(&self) -> Device {
        self.logits.device()
    }

    pub fn entries(&self) -> usize {
        self.logits.numel()
    }

    pub fn case(&self, name: &str) -> Result<Run<'_>> {
        let raw = |raw: Raw<'_>| self.step(self.loss.forward_raw(&self.logits, raw, Reduction::Mean)?);
        Ok(match name {
            "raw" => Box::new(move |_| raw(Raw::Mask { labels: &self.labels, mask: &self.mask })),
            "raw-nan" => Box::new(move |_| raw(Raw::Nan(&self.nan))),
            "from-mask" => Box::new(|_| Ok(Outcome::Labels(Labels::from_mask(&self.labels, &self.mask)?))),
            "from-nan" => Box::new(|_| Ok(Outcome::Labels(Labels::from_nan(&self.nan)?))),
            "from-sentinel" => Box::new(|_| Ok(Outcome::Labels(Labels::from_sentinel(&self.sentinel, SENTINEL)?))),
            "complete" => Box::new(|_| Ok(Outcome::Labels(Labels::complete(&self.labels)?))),
            "kernel" => {
                let batch = self.table(Weighting::None)?.rows(&self.indices[0])?;
                Box::new(move |_| {
                    let loss = self.loss.forward(&self.logits, &batch, Reduction::Mean)?;
                    Ok(Outcome::Step { loss, gradients: Vec::new() })
                })
            }
            _ => match name.split_once('-') {
                Some(("rows", reduction)) => self.rows(reduction)?,
                Some(("cached", reduction)) => self.cached(reduction)?,
                _ => bail!("there is no case `{name}`"),
            },
        })
    }

    fn rows(&self, reduction: &str) -> Result<Run<'_>> {
        let (reduction, weighting) = self.reduction(reduction)?;
        let table = self.table(weighting)?;
        Ok(Box::new(move |step| {
            let batch = table.rows(&self.indices[step % self.indices.len()])?;
            self.step(self.loss.forward(&self.logits, &batch, reduction)?)
        }))
    }

    /// On the same labels in every step, with their cached counts.
    fn cached(&self, reduction: &str) -> Result<Run<'_>> {
        let (reduction, weighting) = self.reduction(reduction)?;
        let batch = self.table(weighting)?.rows(&self.indices[0])?;
        Ok(Box::new(move |_| self.step(self.loss.forward(&self.logits, &batch, reduction)?)))
    }

    /// The gradient is returned, not accumulated: in a network the logits are not a leaf.
    fn step(&self, loss: Tensor) -> Result<Outcome> {
        let gradients = Tensor::f_run_backward(&[&loss], &[&self.logits], false, false)?;
        Ok(Outcome::Step { loss, gradients })
    }

    fn reduction(&self, name: &str) -> Result<(Reduction, Weighting)> {
        Ok(match name {
            "sum" => (Reduction::Sum, Weighting::None),
            "mean" => (Reduction::Mean, Weighting::None),
            "mean-all" => (Reduction::MeanAll, Weighting::None),
            "mean-over-rows" => (Reduction::MeanOver(self.logits.size()[0] as f64), Weighting::None),
            "mean-per-row" => (Reduction::MeanPerRow, Weighting::None),
            "mean-per-label" => (Reduction::MeanPerLabel, Weighting::None),
            "weighted-mean-per-entry" => (Reduction::WeightedMean, Weighting::PerEntry),
            "weighted-mean-per-row-and-label" => (Reduction::WeightedMean, Weighting::PerRowAndLabel),
            _ => bail!("there is no reduction `{name}`"),
        })
    }

    fn table(&self, weighting: Weighting) -> Result<&Labels> {
        let table = &self.tables[weighting as usize];
        if let Some(made) = table.get() {
            return Ok(made);
        }
        let labels = Labels::from_nan(&self.table)?;
        let made = match weighting {
            Weighting::None => labels,
            Weighting::PerEntry => {
                let weights = self.row_weights.f_unsqueeze(1)?.f_add(&self.label_weights)?;
                labels.with_weights(Weights::PerEntry(&weights))?
            }
            Weighting::PerRowAndLabel => labels
                .with_weights(Weights::PerRow(&self.row_weights))?
                .with_weights(Weights::PerLabel(&self.label_weights))?,
        };
        Ok(table.get_or_init(|| made))
    }
}
