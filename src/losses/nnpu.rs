use tch::{Kind, Tensor};

use crate::composed::compute_kind;
use crate::labels::sum_per_label;
use crate::plan::Divisor;
use crate::{Composed, Error, Labels, Real, Reduction, Result, check, check_setting};

/// Non-negative risk for positive and unlabelled data (nnPU). Missing entries count: they are a mixture, of which a share `π`
/// is positive.
///
/// For each label, P being its observed positives and U its missing entries,
/// `R⁺ = π·mean_P σ(−x)` and `R⁻ = mean_U σ(x) − π·mean_P σ(x)`. The risk is `R⁺ + R⁻`. If `R⁻ < −β`, which
/// only overfitting causes, the risk is `R⁺ − β` and its gradient is that of `−γ·R⁻`. The mean over no entries is 0. With
/// `s = σ(x)(1 − σ(x))`, the gradient is `−2π·s/|P|` on P and `s/|U|` on U, and there `γ·π·s/|P|` and `−γ·s/|U|`.
///
/// Not a [`Loss`](crate::Loss): missing entries have a gradient, and the risks of micro-batches do not add up to that of the
/// batch.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1), C numbers in `prior`.
/// * Labels: 1 where observed; this setting has no observed negatives. Weights multiply `σ`; the denominators of the means
///   do not include them.
/// * Errors: see [`forward`](Self::forward).
/// * Source: Kiryo et al. 2017, *Positive-Unlabeled Learning with Non-Negative Risk Estimator*, with the sigmoid loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NonNegativePu {
    /// `π`, in [0, 1]: the share of positives among each label's unlabelled entries.
    pub prior: Vec<f64>,
    /// `β ≥ 0`: how far below 0 the negative risk may fall.
    pub beta: f64,
    /// `γ`, in [0, 1]: how strongly it is pushed back.
    pub gamma: f64,
}

impl NonNegativePu {
    /// `β` 0, `γ` 1: the paper's choice.
    pub fn new(prior: Vec<f64>) -> Self {
        Self { prior, beta: 0.0, gamma: 1.0 }
    }

    /// Sets `beta`.
    #[must_use]
    pub fn with_beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// Sets `gamma`.
    #[must_use]
    pub fn with_gamma(self, gamma: f64) -> Self {
        Self { gamma, ..self }
    }

    /// The risk: of each label, `[C]`, for [`Reduction::None`]; else their `Sum`, the sum over a number (`MeanOver`), or
    /// their `Mean` over the C labels (`MeanPerLabel` is the same). In `f32` where the logits are `f16` or `bf16`.
    ///
    /// # Errors
    /// As [`Loss::forward`](crate::Loss::forward); [`Error::Reduction`] for another.
    pub fn forward(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.check(logits, labels)?;
        let divisor = match reduction {
            Reduction::Mean | Reduction::MeanPerLabel => Divisor::Number(self.prior.len() as f64),
            Reduction::None | Reduction::Sum | Reduction::MeanOver(_) => reduction.plan(labels, true)?.divisor,
            other => {
                let reason = "does not go with a risk that is one number for each label";
                return Err(Error::Reduction { reduction: other, reason });
            }
        };

        let kind = compute_kind(logits)?;
        let x = Composed::new(logits.f_to_kind(kind)?);
        let (observed, missing) = (labels.observed()?, labels.missing()?);
        let weights = labels.own(labels.weights())?;
        let mean = |loss: &Composed, of: &Tensor| -> Result<Tensor> {
            let loss = weights.multiply(loss.clone().finish()?, &labels.size(), kind)?;
            let sum = sum_per_label(&loss.f_masked_fill(&of.f_logical_not()?, 0.0)?, kind)?;
            Ok(sum.f_div(&sum_per_label(of, Kind::Int64)?.f_clamp_min(1)?)?)
        };
        let (to_positive, to_negative) = ((-x.clone()).sigmoid(), x.sigmoid());
        let prior = Tensor::f_from_slice(&self.prior)?.f_to_kind(kind)?.f_to_device(logits.device())?;
        let positive = mean(&to_positive, &observed)?.f_mul(&prior)?;
        let negative = mean(&to_negative, &missing)?.f_sub(&mean(&to_negative, &observed)?.f_mul(&prior)?)?;

        // One number's value with another's slope: the difference between a number and itself is 0, its slope is not.
        let back = negative.f_mul_scalar(-self.gamma)?;
        let bounded = positive.f_detach()?.f_sub_scalar(self.beta)?.f_add(&back.f_sub(&back.f_detach()?)?)?;
        let risk = bounded.f_where_self(&negative.f_lt(-self.beta)?, &positive.f_add(&negative)?)?;
        divisor.apply(risk, kind)
    }

    fn check(&self, logits: &Tensor, labels: &Labels) -> Result<()> {
        check_setting("beta", self.beta, 0.0..=f64::MAX)?;
        check_setting("gamma", self.gamma, 0.0..=1.0)?;
        check::numbers("prior", &self.prior, *labels.size().last().unwrap_or(&0))?;
        self.prior.iter().try_for_each(|&prior| check_setting("prior", prior, 0.0..=1.0))?;
        labels.check_exact()?;
        check::floating("logits", logits)?;
        check::like("logits", logits, &labels.size(), labels.device())?;
        match labels.outside(&(1.0..=1.0)) {
            Some(found) => {
                let expected = "1 where observed: among positives and unlabelled entries none is known to be negative";
                Err(Error::Range { argument: "labels", expected: expected.into(), found })
            }
            None => Ok(()),
        }
    }
}
