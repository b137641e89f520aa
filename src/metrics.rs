//! What a model's scores are worth, over the observed entries only.
//!
//! [`summarize`] takes tensors and [`Labels`], and returns a [`Metric`] for each label, their mean, and that of all entries
//! together. Behind it are functions of slices, for one label: pass them the observed entries.
//!
//! A metric that the data does not define is `None`, never 0: it is left out of a mean, and counted.

pub use masked_loss_core::metrics::*;
use tch::{Device, Kind, Tensor};

use crate::{Error, Labels, Result, check};

/// How many entries are copied as `f64` at a time, observed or not.
const BLOCK: i64 = 1 << 22;

/// One metric of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Of each label.
    pub per_label: Vec<Option<f64>>,
    /// How many labels the data does not define it for.
    pub undefined: usize,
    /// The mean over the others; `None` if there is none.
    pub macro_mean: Option<f64>,
    /// Of all observed entries, as if they were of one label.
    pub micro: Option<f64>,
}

/// A metric over the observed entries of `scores` and `labels`, for each label (the last dimension) and for all. For
/// [`Metric::LogLoss`] scores are held within `[ε, 1 − ε]`, ε that of their dtype, as in scikit-learn.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] and [`Error::Device`] where the tensors do not fit each other; [`Error::Range`] for an
/// observed label outside [0, 1], an observed score that is NaN, or one outside [0, 1] where the metric takes probabilities.
pub fn summarize(metric: Metric, scores: &Tensor, labels: &Labels) -> Result<Summary> {
    check::floating("scores", scores)?;
    check::like("scores", scores, &labels.size(), labels.device())?;
    if let Some(found) = labels.outside(&(0.0..=1.0)) {
        return Err(Error::Range { tensor: "labels", expected: "within [0, 1] where observed".into(), found });
    }
    let (unusable, expected) = if metric.takes_probabilities() {
        let within = scores.f_ge(0.0)?.f_logical_and(&scores.f_le(1.0)?)?;
        (within.f_logical_not()?, "probabilities where observed")
    } else {
        (scores.f_isnan()?, "numbers where observed")
    };
    if let Some(found) = check::first(scores, &unusable.f_logical_and(&labels.observed()?)?)? {
        return Err(Error::Range { tensor: "scores", expected: expected.into(), found });
    }
    let scores = if metric == Metric::LogLoss { held_within_epsilon(scores)? } else { scores.shallow_clone() };
    let columns = *labels.size().last().unwrap_or(&0);
    let rows = labels.size().iter().product::<i64>().checked_div(columns).unwrap_or(0);
    let (scores, labels) = (scores.f_detach()?, labels.values()?);
    // The observed entries, label by label.
    let (mut all_scores, mut all_labels, mut per_label) = (Vec::new(), Vec::new(), Vec::new());
    let block = (BLOCK / rows.max(1)).max(1);
    for start in (0..columns).step_by(block as usize) {
        let width = block.min(columns - start);
        let [scores, labels] = [&scores, &labels].map(|matrix| by_label(&matrix.f_narrow(-1, start, width)?));
        let (scores, labels) = (scores?, labels?);
        for label in 0..width as usize {
            let (column, before) = (label * rows as usize..(label + 1) * rows as usize, all_scores.len());
            for (score, label) in
                scores[column.clone()].iter().zip(&labels[column]).filter(|(_, label)| !label.is_nan())
            {
                all_scores.push(*score);
                all_labels.push(*label);
            }
            per_label.push(metric.of(&all_scores[before..], &all_labels[before..]));
        }
    }
    let defined: Vec<f64> = per_label.iter().copied().flatten().collect();
    Ok(Summary {
        undefined: per_label.len() - defined.len(),
        per_label,
        macro_mean: mean(&defined),
        micro: metric.of(&all_scores, &all_labels),
    })
}

fn held_within_epsilon(scores: &Tensor) -> Result<Tensor> {
    let epsilon = match scores.f_kind()? {
        Kind::Double => f64::EPSILON,
        Kind::Half => 2f64.powi(-10),
        Kind::BFloat16 => 2f64.powi(-7),
        _ => f64::from(f32::EPSILON),
    };
    Ok(scores.f_clamp(epsilon, 1.0 - epsilon)?)
}

/// The elements of a tensor, label by label.
fn by_label(tensor: &Tensor) -> Result<Vec<f64>> {
    let matrix = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_movedim_int(-1, 0)?;
    Ok(Vec::try_from(&matrix.f_reshape([-1])?)?)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
