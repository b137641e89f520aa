use masked_loss_core::settings;
use tch::{Kind, Tensor};

use crate::composed::compute_kind;
use crate::plan::Divisor;
use crate::{Backend, Error, Labels, Loss, Reduction, Result, check, check_setting};

/// Softmax cross entropy: each row has one of K classes, and a row whose class is missing contributes nothing.
///
/// `ℓ(x, y) = −(1 − ε)·w_y·ln p_y − (ε/K)·Σ_c w_c·ln p_c` with `p = softmax(x)`. Its gradient is
/// `(1 − ε)·w_y·(p_c − [c = y]) + (ε/K)·(p_c·Σ_j w_j − w_c)`.
///
/// [`Reduction::Mean`] is `Σ ℓ / Σ w_y` over the rows that are not missing; [`Reduction::WeightedMean`] multiplies
/// both sums by the row weights of [`Labels`]. If `Σ w_y` is 0, the sum is not divided. Runs on the composed backend.
///
/// * Shapes: logits `[N, K]` and labels `[N]`; or labels of any rank from 1 and logits with one dimension more.
/// * Labels: the index of the class, from 0 to K − 1. If an index of the table is above 1, the labels are
///   checked for fractions, which waits for a GPU.
/// * Logits: −∞ rules a class out. A row with +∞ gives NaN, as in PyTorch.
/// * Errors: see [`Loss::forward`]; [`Error::Fused`] where that backend is asked for by name.
/// * Source: PyTorch's `cross_entropy`, which this agrees with, `ignore_index` being
///   [`Labels::from_sentinel`]`(&classes, -100.0)`. If every row is missing, PyTorch gives NaN, and this gives 0.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SoftmaxCrossEntropy {
    /// `w`: the weight of each of the K classes; all 1 if `None`.
    pub weight: Option<Vec<f64>>,
    /// `ε`, in [0, 1]: the share of a label that is spread over all K classes. 0 is off.
    pub label_smoothing: f64,
}

settings!(SoftmaxCrossEntropy {
    weight: PerLabel(impl Into<Option<Vec<f64>>>), with_weight;
    label_smoothing: Number(f64), with_label_smoothing
});

impl SoftmaxCrossEntropy {
    fn check_backend(&self, backend: Backend) -> Result<()> {
        match backend {
            Backend::Fused => Err(Error::Fused("takes single entries, and a softmax is of whole rows".into())),
            Backend::Auto | Backend::Composed => Ok(()),
        }
    }

    fn check(&self, logits: &Tensor, labels: &Labels) -> Result<()> {
        check_setting("label_smoothing", self.label_smoothing, 0.0..=1.0)?;
        labels.check_exact()?;
        check::floating("logits", logits)?;
        let (size, rows) = (logits.size(), labels.size());
        let classes = match &size[..] {
            [given @ .., classes] if *given == rows && *classes > 0 => *classes,
            _ => {
                let expected = format!("{rows:?} and a last dimension of one class or more");
                return Err(Error::Shape { argument: "logits", expected, found: size });
            }
        };
        check::like("logits", logits, &size, labels.device())?;
        if let Some(weight) = &self.weight {
            check::numbers("weight", weight, classes)?;
        }
        let last = (classes - 1) as f64;
        let fault = |found| {
            let expected = format!("a class where observed, an integer from 0 to {last}");
            Err(Error::Range { argument: "labels", expected, found })
        };
        if labels.range().is_none() {
            return Ok(());
        }
        if let Some(found) = labels.outside(&(0.0..=last)) {
            return fault(found);
        }
        let cells = labels.cells()?;
        if cells.f_kind()? != Kind::Int8 {
            let fractions = cells.f_ne_tensor(&cells.f_floor()?)?.f_logical_and(&labels.observed()?)?;
            if let Some(found) = check::first(&cells, &fractions)? {
                return fault(found);
            }
        }
        Ok(())
    }

    /// The loss of each row, 0 where it is missing, and what divides their sum.
    fn rows(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Divisor)> {
        self.check(logits, labels)?;
        let kind = compute_kind(logits)?;
        let missing = labels.missing()?;
        let plan = reduction.plan(labels, false)?;
        let row_weights = labels.own(&plan.weights)?;
        let left_out = row_weights.or_zero(missing.shallow_clone(), &labels.size())?;
        // Filled before and after, as in every loss.
        let ln_p = logits.f_to_kind(kind)?.f_masked_fill(&left_out.f_unsqueeze(-1)?, 0.0)?.f_log_softmax(-1, kind)?;
        let class = labels.cells()?.f_masked_fill(&missing, 0)?.f_to_kind(Kind::Int64)?;
        let weight = match &self.weight {
            Some(weight) => Some(Tensor::f_from_slice(weight)?.f_to_kind(kind)?.f_to_device(logits.device())?),
            None => None,
        };
        let class_weight = weight.as_ref().map(|weight| weight.f_take(&class)).transpose()?;

        let mut rows = ln_p.f_gather(-1, &class.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?.f_neg()?;
        if let Some(class_weight) = &class_weight {
            rows = weighted(&rows, class_weight)?;
        }
        // Not with a factor of 0: a class that is ruled out has a logarithm of −∞.
        if self.label_smoothing != 0.0 {
            let all = weight.map_or(Ok(ln_p.shallow_clone()), |weight| weighted(&ln_p, &weight))?;
            let share = self.label_smoothing / *logits.size().last().unwrap_or(&1) as f64;
            let spread = all.f_sum_dim_intlist(-1i64, false, kind)?.f_mul_scalar(share)?;
            rows = rows.f_mul_scalar(1.0 - self.label_smoothing)?.f_sub(&spread)?;
        }
        let rows = row_weights.multiply(rows.f_masked_fill(&left_out, 0.0)?, &labels.size(), kind)?;
        let divisor = match (class_weight, reduction) {
            (Some(weight), Reduction::Mean) => {
                Divisor::Counted(weight.f_masked_fill(&missing, 0.0)?.f_sum(Kind::Double)?)
            }
            (Some(weight), Reduction::WeightedMean) => {
                Divisor::Counted(labels.reweighted(&weight)?.total_weight(false)?)
            }
            _ => plan.divisor,
        };
        Ok((rows, divisor))
    }
}

/// Not with a weight of 0 either: a class that weighs nothing may be ruled out.
fn weighted(logarithms: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(logarithms.f_mul(weight)?.f_masked_fill(&weight.f_eq(0)?, 0.0)?)
}

impl Loss for SoftmaxCrossEntropy {
    fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.check_backend(backend)?;
        let (rows, divisor) = self.rows(logits, labels, reduction)?;
        divisor.apply(rows, compute_kind(logits)?)
    }

    fn sum_and_weight_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        self.check_backend(backend)?;
        let (rows, divisor) = self.rows(logits, labels, reduction)?;
        Ok((rows.f_sum(compute_kind(logits)?)?, divisor.weight(logits.device())?))
    }
}
