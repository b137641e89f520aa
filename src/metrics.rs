//! What a model's scores are worth, over the observed entries only.
//!
//! [`summarize`] takes tensors and [`Labels`], and returns a [`Metric`] for each label, their mean, and that of all entries
//! together. Behind it are functions of slices, for one label: pass them the observed entries.
//!
//! A metric that the data does not define is `None`, never 0: it is left out of a mean, and counted.

pub use masked_loss_core::metrics::*;
use tch::{Device, Kind, Tensor};

use crate::{Error, Labels, Result, check};

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
    let columns = *labels.size().last().unwrap_or(&0) as usize;
    let pairs = by_label(&scores, columns)?.into_iter().zip(by_label(&labels.values()?, columns)?);
    let observed: Vec<(Vec<f64>, Vec<f64>)> = pairs
        .map(|(scores, labels)| scores.into_iter().zip(labels).filter(|(_, label)| !label.is_nan()).unzip())
        .collect();

    let per_label: Vec<_> = observed.iter().map(|(scores, labels)| metric.of(scores, labels)).collect();
    let defined: Vec<f64> = per_label.iter().copied().flatten().collect();
    let (scores, labels): (Vec<_>, Vec<_>) = observed.into_iter().unzip();
    Ok(Summary {
        undefined: per_label.len() - defined.len(),
        per_label,
        macro_mean: mean(&defined),
        micro: metric.of(&scores.concat(), &labels.concat()),
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

/// A tensor label by label.
fn by_label(tensor: &Tensor, columns: usize) -> Result<Vec<Vec<f64>>> {
    let matrix = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    let rows = matrix.numel().checked_div(columns).unwrap_or(0);
    let columns_first = matrix.f_reshape([rows as i64, columns as i64])?.f_tr()?.f_contiguous()?;
    let flat: Vec<f64> = Vec::try_from(&columns_first.f_reshape([-1])?)?;
    Ok((0..columns).map(|column| flat[column * rows..][..rows].to_vec()).collect())
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
