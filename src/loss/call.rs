//! A loss's computation: checks, the plan of its reduction, and the backend.

use masked_loss_core::Entries;
use tch::Tensor;

use super::accept;
use super::backend::Backend;
use crate::composed::{self, TensorFormula};
use crate::fused::{self, LabelSlices, TensorPass};
use crate::labels::{Factors, RawTensors};
use crate::plan::Divisor;
use crate::{Error, Labels, Raw, Reduction, Result};

pub(crate) fn forward(
    entries: Entries<'_, dyn TensorFormula + '_>,
    backend: Backend,
    logits: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    accept::labelled(entries, logits, labels)?;
    let plan = reduction.plan(labels, entries.missing.is_some())?;
    on(backend, entries, logits, labels, &plan.weights, &plan.divisor)
}

pub(crate) fn sum_and_weight(
    entries: Entries<'_, dyn TensorFormula + '_>,
    backend: Backend,
    logits: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<(Tensor, Tensor)> {
    accept::labelled(entries, logits, labels)?;
    let plan = reduction.plan(labels, entries.missing.is_some())?;
    let sum = on(backend, entries, logits, labels, &plan.weights, &Divisor::Number(1.0))?;
    Ok((sum, plan.divisor.weight(logits.device())?))
}

pub(super) fn on(
    backend: Backend,
    entries: Entries<'_, dyn TensorFormula + '_>,
    logits: &Tensor,
    labels: &Labels,
    weights: &Factors,
    divisor: &Divisor,
) -> Result<Tensor> {
    let fused = match backend {
        Backend::Composed => false,
        Backend::Auto => fused::serves(logits),
        Backend::Fused if fused::serves(logits) => true,
        Backend::Fused => {
            return Err(Error::Fused(format!("runs on the CPU, and the logits are on {:?}", logits.device())));
        }
    };
    if fused {
        let pass = TensorPass { entries, input: logits, divisor: divisor.number()? };
        let (table, weights) = labels.table(weights)?;
        if let Some(loss) = pass.run(LabelSlices::Checked(&table, &weights.slices()?))? {
            return Ok(loss);
        }
    }
    accept::inputs(entries, logits, labels)?;
    composed::forward(entries, logits, labels, weights, divisor)
}

pub(crate) fn forward_raw(
    entries: Entries<'_, dyn TensorFormula + '_>,
    logits: &Tensor,
    labels: Raw<'_>,
    reduction: Reduction,
) -> Result<Tensor> {
    labels.check()?;
    if let Ok(Some(loss)) = in_one_pass(entries, logits, labels, reduction) {
        return Ok(loss);
    }
    // This also reports errors: if there are several, always the same one.
    forward(entries, Backend::Auto, logits, &Labels::from_raw(labels)?, reduction)
}

/// `None` if one pass cannot compute the loss, or if the loss does not accept some argument.
fn in_one_pass(
    entries: Entries<'_, dyn TensorFormula + '_>,
    logits: &Tensor,
    labels: Raw<'_>,
    reduction: Reduction,
) -> Result<Option<Tensor>> {
    let (accepted, everything) = (entries.observed.label_range(), entries.missing.is_some());
    if matches!(reduction, Reduction::MeanPerRow | Reduction::MeanPerLabel)
        || !logits.defined()
        || !fused::serves(logits)
        // The pass checks the range only of labels that are neither 0 nor 1.
        || [0.0, 1.0].iter().any(|label| !accepted.contains(label))
    {
        return Ok(None);
    }
    let Some(tensors) = RawTensors::new(labels)? else { return Ok(None) };
    let labels = labels.labels();
    accept::fit(entries, logits, &labels.size(), labels.device())?;
    let divisor = match reduction {
        // Count first: scaling the gradient afterwards would be another pass, longer than the count.
        Reduction::Mean | Reduction::WeightedMean if !everything => match tensors.count()? {
            Some(count) => Divisor::Number(count as f64),
            None => return Ok(None),
        },
        _ => reduction.divisor_without_labels(labels.numel() as i64)?,
    };
    TensorPass { entries, input: logits, divisor: divisor.number()? }.run(LabelSlices::Raw(&tensors.slices()?))
}
