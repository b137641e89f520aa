use std::ops::RangeInclusive;
use std::sync::Arc;

use tch::Tensor;

use crate::formula::Entries;
use crate::fused::RawTensors;
use crate::labels::Factors;
use crate::reduction::Divisor;
use crate::{Error, Labels, Missing, Raw, Real, Reduction, Result, WithMissing, check, fused, masked};

/// A loss that is one formula on one entry; it stands here once and serves every path.
///
/// Implementing [`entry`](Self::entry) is the whole of a new loss: it brings [`Loss`], with the mask, the reductions,
/// the checks, the gradient and the fused kernel. Mark it `#[inline(always)]`, and what it calls: the kernel vectorises
/// only what is inlined into its loop.
///
/// ```
/// use masked_loss::{Elementwise, Labels, Loss, Real, Reduction};
/// use tch::Tensor;
///
/// /// `(σ(x) − y)²`
/// struct Brier;
///
/// impl Elementwise for Brier {
///     #[inline(always)]
///     fn entry<R: Real>(&self, logit: &R, label: &R) -> R {
///         let error = logit.sigmoid() - label;
///         error.clone() * error
///     }
/// }
///
/// let labels = Labels::from_nan(&Tensor::from_slice(&[1.0, f64::NAN]))?;
/// let loss = Brier.forward(&Tensor::from_slice(&[0.0, 5.0]), &labels, Reduction::Mean)?;
/// assert_eq!(loss.double_value(&[]), 0.25);
/// # Ok::<(), masked_loss::Error>(())
/// ```
pub trait Elementwise: Send + Sync {
    /// The loss of one entry. What stands at a missing one is never seen.
    fn entry<R: Real>(&self, input: &R, label: &R) -> R;

    /// The loss of one entry where each label has a [`parameter`](Self::parameter) of its own.
    #[inline(always)]
    fn entry_with<R: Real>(&self, input: &R, label: &R, parameter: &R) -> R {
        let _ = parameter;
        self.entry(input, label)
    }

    /// One number for each of the C labels that [`entry_with`](Self::entry_with) is given; `None` if the formula has none.
    fn parameter(&self) -> Option<&[f64]> {
        None
    }

    /// Whether every exponent that the formula gives to [`Real::powf`] is an integer from 0 to 7. The fused kernel then
    /// multiplies, in place of `exp` and `ln`; an exponent of another kind would give NaN there.
    fn integer_powers(&self) -> bool {
        false
    }

    /// Whether the loss's own settings are what its formula takes.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) naming the setting.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// What an observed input may be; NaN is let through, so that it shows in the loss.
    fn inputs(&self) -> RangeInclusive<f64> {
        check::REAL
    }

    /// What an observed label may be.
    fn labels(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    /// This loss on the observed entries, and something assumed of the missing ones: for comparison, and for data in which
    /// only positives were ever recorded.
    fn with_missing(self, missing: Missing) -> WithMissing
    where
        Self: Sized + 'static,
    {
        WithMissing::new(Arc::new(self), missing)
    }
}

/// Which implementation computes a loss. Both read the same formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// [`Fused`](Self::Fused) where the input allows it, else [`Composed`](Self::Composed).
    #[default]
    Auto,
    /// A graph of libtorch operations: any device, differentiable any number of times.
    Composed,
    /// One pass over memory for value and gradient: CPU only, differentiable once.
    Fused,
}

/// A loss over the observed entries of `logits` and `labels`.
///
/// A missing entry contributes nothing: no loss, no gradient, whatever stands there. The result has the logits' dtype,
/// or `f32` where that is `f16` or `bf16` (sums are never taken in half precision).
pub trait Loss {
    /// The loss by a path of the caller's choice.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Fused`](crate::Error::Fused) where that path is asked for by name and
    /// cannot serve.
    fn forward_on(&self, path: Path, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor>;

    /// The loss of `logits`, in the labels' shape, brought together by `reduction`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Kind`](crate::Error::Kind) or [`Device`](crate::Error::Device) where
    /// the tensors do not fit each other, [`Range`](crate::Error::Range) where an observed value is outside what the
    /// loss accepts, [`Torch`](crate::Error::Torch) for a failure of libtorch.
    fn forward(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.forward_on(Path::Auto, logits, labels, reduction)
    }

    /// The loss of labels as they stand in tensors, for labels that are used once: they are read and checked in the pass that
    /// computes the loss, and no [`Labels`] are made. That goes for every [`Elementwise`] loss on the CPU, also
    /// [`with_missing`](Elementwise::with_missing) entries; elsewhere, and for `MeanPerRow` and `MeanPerLabel`, they are made
    /// first.
    ///
    /// ```
    /// use masked_loss::{BceWithLogits, Loss, Raw, Reduction};
    /// use tch::Tensor;
    ///
    /// let labels = Tensor::from_slice(&[1.0, f64::NAN]);
    /// let loss = BceWithLogits::default().forward_raw(&Tensor::from_slice(&[0.0, 5.0]), Raw::Nan(&labels), Reduction::Mean)?;
    /// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), masked_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Labels::from_raw`] and [`forward`](Self::forward).
    fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
        self.forward(logits, &Labels::from_raw(labels)?, reduction)
    }

    /// The pair behind a reduction: the sum, and the weight that divides it (both scalars; 1 for `Sum` and `None`). Pairs
    /// of micro-batches, or of machines, add up to the pair of the whole batch, however unevenly their labels fall. Not so
    /// `MeanPerLabel`, whose labels lie across all of them.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn sum_and_weight(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Tensor)>;
}

impl<E: Elementwise> Loss for E {
    fn forward_on(&self, path: Path, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        forward(Entries { observed: self, missing: None }, path, logits, labels, reduction)
    }

    fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
        forward_raw(Entries { observed: self, missing: None }, logits, labels, reduction)
    }

    fn sum_and_weight(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Tensor)> {
        sum_and_weight(Entries { observed: self, missing: None }, logits, labels, reduction)
    }
}

pub(crate) fn forward(
    entries: Entries<'_>,
    path: Path,
    logits: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    check::labelled(entries, logits, labels)?;
    let plan = reduction.plan(labels, entries.missing.is_some())?;
    on(path, entries, logits, labels, &plan.weights, &plan.divisor)
}

pub(crate) fn sum_and_weight(
    entries: Entries<'_>,
    logits: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<(Tensor, Tensor)> {
    check::labelled(entries, logits, labels)?;
    let plan = reduction.plan(labels, entries.missing.is_some())?;
    let sum = on(Path::Auto, entries, logits, labels, &plan.weights, &Divisor::Number(1.0))?;
    Ok((sum, plan.divisor.weight(logits.device())?))
}

fn on(
    path: Path,
    entries: Entries<'_>,
    logits: &Tensor,
    labels: &Labels,
    weights: &Factors,
    divisor: &Divisor,
) -> Result<Tensor> {
    let fused = match path {
        Path::Composed => false,
        Path::Auto => fused::serves(logits),
        Path::Fused if fused::serves(logits) => true,
        Path::Fused => {
            return Err(Error::Fused(format!("runs on the CPU, and the logits are on {:?}", logits.device())));
        }
    };
    if fused {
        let pass = fused::Pass { entries, input: logits, divisor: divisor.number()? };
        if let Some(loss) = pass.labels(labels, weights)? {
            return Ok(loss);
        }
    }
    check::inputs(entries, logits, labels)?;
    masked::forward(entries, logits, labels, weights, divisor)
}

pub(crate) fn forward_raw(
    entries: Entries<'_>,
    logits: &Tensor,
    labels: Raw<'_>,
    reduction: Reduction,
) -> Result<Tensor> {
    labels.check()?;
    if let Ok(Some(loss)) = in_one_pass(entries, logits, labels, reduction) {
        return Ok(loss);
    }
    // This also says what is wrong: of several faults always the same one.
    forward(entries, Path::Auto, logits, &Labels::from_raw(labels)?, reduction)
}

/// None where that cannot be done, and where anything is not what the loss accepts.
fn in_one_pass(entries: Entries<'_>, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Option<Tensor>> {
    let (accepted, everything) = (entries.observed.labels(), entries.missing.is_some());
    if matches!(reduction, Reduction::MeanPerRow | Reduction::MeanPerLabel)
        || !logits.defined()
        || !fused::serves(logits)
        // The pass looks for labels that are out of range among those that are neither 0 nor 1.
        || [0.0, 1.0].iter().any(|label| !accepted.contains(label))
    {
        return Ok(None);
    }
    let Some(tensors) = RawTensors::new(labels)? else { return Ok(None) };
    let labels = labels.labels();
    check::fit(entries, logits, &labels.size(), labels.device())?;
    let divisor = match reduction {
        // Counted first: to scale the gradient afterwards would be one more pass over it, and a longer one.
        Reduction::Mean | Reduction::WeightedMean if !everything => match tensors.count()? {
            Some(count) => Divisor::Number(count as f64),
            None => return Ok(None),
        },
        _ => reduction.divisor_without_labels(labels.numel() as i64)?,
    };
    fused::Pass { entries, input: logits, divisor: divisor.number()? }.raw(&tensors)
}

impl Loss for Arc<dyn Loss> {
    fn forward_on(&self, path: Path, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        (**self).forward_on(path, logits, labels, reduction)
    }

    fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
        (**self).forward_raw(logits, labels, reduction)
    }

    fn sum_and_weight(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Tensor)> {
        (**self).sum_and_weight(logits, labels, reduction)
    }
}
