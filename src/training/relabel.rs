//! Policies that change the labels of a batch at missing entries, according to the predictions or the epoch. Use them
//! with a loss [`with_missing`](crate::Loss::with_missing) entries.

use masked_loss_core::settings;
use tch::{Kind, Tensor};

use crate::{BceWithLogits, Labels, Loss, Missing, Reduction, Result, check, check_setting, composed};

/// Self-paced loss correction: a missing entry counts as a positive if the model is sure of it.
///
/// From the second epoch on, `σ(x) > τ` makes a missing entry a positive; the others stay missing.
///
/// Source: Zhang et al. 2021, *Simple and Robust Loss Design for Multi-Label Learning with Missing Labels* (SPLC),
/// which takes the others as negative and uses a sum as its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelfPaced {
    /// `τ`
    pub threshold: f64,
    /// The first epoch, counting from 1, in which labels are changed.
    pub from_epoch: usize,
}

impl Default for SelfPaced {
    /// `τ` 0.6, from epoch 2.
    fn default() -> Self {
        Self { threshold: 0.6, from_epoch: 2 }
    }
}

settings!(SelfPaced { threshold: Number(f64), with_threshold; from_epoch: Count(usize), with_from_epoch });

impl SelfPaced {
    /// The labels of a batch, with a positive for each missing entry that the model is sure of. `epoch` counts from 1.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) and [`Error::Device`](crate::Error::Device) where logits and labels do not fit;
    /// [`Error::Range`](crate::Error::Range) for a threshold outside [0, 1].
    pub fn relabel(&self, logits: &Tensor, labels: &Labels, epoch: usize) -> Result<Labels> {
        check_setting("threshold", self.threshold, 0.0..=1.0)?;
        fit(logits, labels)?;
        if epoch < self.from_epoch {
            return Ok(labels.clone());
        }
        labels.with_positives(&logits.f_detach()?.f_sigmoid()?.f_gt(self.threshold)?)
    }
}

/// Class-aware selection: leaves missing entries that are likely positives out of the negatives.
///
/// A missing entry is dropped if its label's prior is above a threshold, or if it has one of the `k·N` highest
/// probabilities of the batch. A dropped entry weighs 0 in the loss, and still counts in denominators.
///
/// Source: Ben-Baruch et al. 2022, *Multi-label Classification with Partial Annotations using Class-aware Selective Loss*
/// (CSL), with [`Asymmetric::partial`](crate::Asymmetric::partial) and [`Missing::FocalNegative`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassSelective {
    /// The prior above which a label's missing entries are dropped.
    pub prior: f64,
    /// `k`
    pub per_row: usize,
}

impl Default for ClassSelective {
    /// Prior 0.05, `k` 5.
    fn default() -> Self {
        Self { prior: 0.05, per_row: 5 }
    }
}

settings!(ClassSelective { prior: Number(f64), with_prior; per_row: Count(usize), with_per_row });

impl ClassSelective {
    /// The labels of a batch, without the missing entries that are likely positives. `priors` (`[C]`): each label's
    /// share of positives.
    ///
    /// # Errors
    /// As [`SelfPaced::relabel`]; [`Error::Shape`](crate::Error::Shape) if there is not one prior for each label.
    pub fn relabel(&self, logits: &Tensor, labels: &Labels, priors: &Tensor) -> Result<Labels> {
        fit(logits, labels)?;
        let (rows, columns) = (labels.size()[0], *labels.size().last().unwrap_or(&1));
        check::like("priors", priors, &[columns], labels.device())?;
        let missing = labels.missing()?;
        let likely = highest(logits, &missing, (self.per_row as i64).saturating_mul(rows))?;
        labels.without_missing(&priors.f_gt(self.prior)?.f_logical_or(&likely)?)
    }
}

/// How to correct a missing entry whose loss as a negative is large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Correction {
    /// Drops the entry: it is not a negative (LL-R).
    #[default]
    Reject,
    /// Takes the entry as a positive: in this step (LL-Ct) or, if the caller keeps the labels, permanently (LL-Cp).
    Flip,
}

/// Large-loss correction: takes missing entries as negative, and corrects those with the largest losses.
///
/// In epoch t, counting from 1, these are the `k = ⌈N·C·(t − 1)·Δ⌉` entries of a batch with the largest losses.
///
/// Source: Kim et al. 2022, *Large Loss Matters in Weakly Supervised Multi-Label Classification*.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LargeLoss {
    /// How to correct them.
    pub correction: Correction,
    /// `Δ ≥ 0`: the further share of a batch to correct in each epoch (0.002 for the paper's 0.2 %).
    pub step: f64,
}

impl Default for LargeLoss {
    /// Rejects, `Δ` 0.002: the paper's choice.
    fn default() -> Self {
        Self { correction: Correction::Reject, step: 0.002 }
    }
}

settings!(LargeLoss { step: Number(f64), with_step });

impl LargeLoss {
    /// Sets `correction`.
    #[must_use]
    pub fn with_correction(self, correction: Correction) -> Self {
        Self { correction, ..self }
    }

    /// The labels of a batch in an epoch, counting from 1; for [`Missing::Negative`].
    ///
    /// # Errors
    /// As [`SelfPaced::relabel`]; [`Error::Range`](crate::Error::Range) for a negative step.
    pub fn relabel(&self, logits: &Tensor, labels: &Labels, epoch: usize) -> Result<Labels> {
        check_setting("step", self.step, 0.0..=f64::MAX)?;
        fit(logits, labels)?;
        let share = self.step * epoch.saturating_sub(1) as f64;
        let count = (labels.size().iter().product::<i64>() as f64 * share).ceil();
        let losses = tch::no_grad(|| {
            let negative = BceWithLogits::default().with_missing(Missing::Negative);
            negative.forward(&logits.f_detach()?, labels, Reduction::None)
        })?;
        let large = highest(&losses, &labels.missing()?, count as i64)?;
        match self.correction {
            Correction::Reject => labels.without_missing(&large),
            Correction::Flip => labels.with_positives(&large),
        }
    }
}

fn fit(logits: &Tensor, labels: &Labels) -> Result<()> {
    check::dense("logits", logits)?;
    check::like("logits", logits, &labels.size(), labels.device())
}

/// Where the candidates' `count` highest scores are.
fn highest(scores: &Tensor, candidates: &Tensor, count: i64) -> Result<Tensor> {
    let scores = scores.f_detach()?.f_to_kind(composed::compute_kind(scores)?)?;
    let flat = scores.f_masked_fill(&candidates.f_logical_not()?, f64::NEG_INFINITY)?.f_reshape([-1])?;
    let (_, index) = flat.f_topk(count.min(flat.numel() as i64), 0, true, false)?;
    let none = Tensor::f_zeros([flat.numel() as i64], (Kind::Bool, flat.device()))?;
    Ok(none.f_index_fill(0, &index, 1)?.f_reshape(scores.size())?.f_logical_and(candidates)?)
}
