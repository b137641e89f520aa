use std::sync::Arc;

use masked_loss_core::{Elementwise, Entries};
use tch::Tensor;

use super::backend::Backend;
use super::call::{forward, forward_raw, sum_and_weight};
use super::head::{self, Linear};
use super::missing::{Missing, WithMissing};
use crate::composed::TensorFormula;
use crate::{Labels, Raw, Reduction, Result};

/// A loss over the observed entries of `logits` and `labels`.
///
/// A missing entry contributes nothing: no loss and no gradient, whatever its logit and label hold. Neither does an
/// observed entry of weight 0. At an observed logit of ±∞, value and gradient of this crate's single-formula losses are the
/// limits of the formula. The result has the logits' dtype, or `f32` for `f16` and `bf16` (sums are never taken in half
/// precision).
pub trait Loss {
    /// The loss on a backend of the caller's choice.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Fused`](crate::Error::Fused) if the caller chooses the fused backend and it
    /// does not support the call.
    fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor>;

    /// The loss of `logits`, which have the labels' shape, reduced by `reduction`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Kind`](crate::Error::Kind) or [`Device`](crate::Error::Device) if the
    /// tensors do not match, [`Range`](crate::Error::Range) if the loss does not accept an observed value,
    /// [`Environment`](crate::Error::Environment) if `MASKED_LOSS_SIMD` names a level that this machine does not have,
    /// [`Torch`](crate::Error::Torch) if libtorch fails.
    fn forward(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.forward_on(Backend::Auto, logits, labels, reduction)
    }

    /// The loss of raw label tensors, for labels that are used once. On the CPU, an [`Elementwise`] loss, also
    /// [`with_missing`](Self::with_missing) entries, reads and checks the labels in the pass that computes the loss,
    /// without building [`Labels`]. Other losses and devices, and the reductions `MeanPerRow` and `MeanPerLabel`, build
    /// [`Labels`] first.
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

    /// The loss of a linear last layer, whose logits are `hidden · weightᵀ + bias`. [`Linear::head`] selects which logits
    /// are computed. [`Head::Observed`](crate::Head::Observed) is for [`Elementwise`] losses that ignore missing entries.
    ///
    /// * Shapes: hidden `[N, D]`, weight `[C, D]`, bias `[C]`, labels `[N, C]`, all of one type except the labels.
    ///
    /// ```
    /// use masked_loss::{BceWithLogits, Labels, Linear, Loss, Reduction};
    /// use tch::{Device, Tensor, nn};
    ///
    /// let variables = nn::VarStore::new(Device::Cpu);
    /// let layer = nn::linear(variables.root(), 8, 100, Default::default());
    /// let hidden = Tensor::randn([2, 8], tch::kind::FLOAT_CPU);
    /// let ints = |numbers: &[i64]| Tensor::from_slice(numbers);
    /// let labels = Labels::from_entries(&ints(&[0, 1]), &ints(&[42, 7]), &ints(&[1, 0]), [2, 100])?;
    ///
    /// // Two logits of 200.
    /// let loss = BceWithLogits::default().forward_linear(&hidden, &Linear::from(&layer), &labels, Reduction::Mean)?;
    /// loss.backward();
    /// assert_eq!(layer.ws.grad().count_nonzero(None).int64_value(&[]), 2 * 8);
    /// # Ok::<(), masked_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Head`](crate::Error::Head) if the caller chooses a head that does not support
    /// the call.
    fn forward_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<Tensor> {
        linear.by_all_logits(hidden, labels, |logits| self.forward(logits, labels, reduction))
    }

    /// A reduction's sum, and the weight that divides it (both scalars). For a mean, the pairs of micro-batches or workers
    /// add up to the pair of the whole batch, however unevenly the labels are distributed; `MeanPerLabel` is the exception,
    /// because each label spans all micro-batches. For `Sum`, `None` (weight 1) and `MeanOver(n)` (weight n) only the sums
    /// add up: the weight is a constant.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn sum_and_weight(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Tensor)> {
        self.sum_and_weight_on(Backend::Auto, logits, labels, reduction)
    }

    /// [`sum_and_weight`](Self::sum_and_weight) on a backend of the caller's choice.
    ///
    /// # Errors
    /// As [`forward_on`](Self::forward_on).
    fn sum_and_weight_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)>;

    /// The sum and the weight of a linear last layer's loss, see [`sum_and_weight`](Self::sum_and_weight) and
    /// [`forward_linear`](Self::forward_linear).
    ///
    /// # Errors
    /// As [`forward_linear`](Self::forward_linear).
    fn sum_and_weight_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        linear.by_all_logits(hidden, labels, |logits| self.sum_and_weight(logits, labels, reduction))
    }

    /// This loss on observed entries, with a policy for missing entries: for comparison, and for data in which only
    /// positives were recorded.
    fn with_missing(self, missing: Missing) -> WithMissing
    where
        Self: Elementwise + Sized + 'static,
    {
        WithMissing::new(Arc::new(self), missing)
    }
}

/// The observed entries alone.
fn observed<'a>(formula: &'a (dyn TensorFormula + 'a)) -> Entries<'a, dyn TensorFormula + 'a> {
    Entries { observed: formula, missing: None, part: None }
}

impl<E: Elementwise> Loss for E {
    fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        forward(observed(self), backend, logits, labels, reduction)
    }

    fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
        forward_raw(observed(self), logits, labels, reduction)
    }

    fn forward_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<Tensor> {
        head::forward(observed(self), hidden, linear, labels, reduction)
    }

    fn sum_and_weight_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        head::sum_and_weight(observed(self), hidden, linear, labels, reduction)
    }

    fn sum_and_weight_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        sum_and_weight(observed(self), backend, logits, labels, reduction)
    }
}

impl Loss for WithMissing {
    fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        forward(self.entries(|| Ok(labels.size()))?, backend, logits, labels, reduction)
    }

    fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
        let size = || labels.check().map(|()| labels.labels().size());
        forward_raw(self.entries(size)?, logits, labels, reduction)
    }

    fn forward_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<Tensor> {
        head::forward(self.entries(|| Ok(labels.size()))?, hidden, linear, labels, reduction)
    }

    fn sum_and_weight_linear(
        &self,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        head::sum_and_weight(self.entries(|| Ok(labels.size()))?, hidden, linear, labels, reduction)
    }

    fn sum_and_weight_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        sum_and_weight(self.entries(|| Ok(labels.size()))?, backend, logits, labels, reduction)
    }
}

/// Losses that are chosen at run time.
macro_rules! boxed {
    ($($loss:ty),*) => {$(
        impl Loss for $loss {
            fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
                (**self).forward_on(backend, logits, labels, reduction)
            }

            fn forward_raw(&self, logits: &Tensor, labels: Raw<'_>, reduction: Reduction) -> Result<Tensor> {
                (**self).forward_raw(logits, labels, reduction)
            }

            fn forward_linear(
                &self,
                hidden: &Tensor,
                linear: &Linear<'_>,
                labels: &Labels,
                reduction: Reduction,
            ) -> Result<Tensor> {
                (**self).forward_linear(hidden, linear, labels, reduction)
            }

            fn sum_and_weight_linear(
                &self,
                hidden: &Tensor,
                linear: &Linear<'_>,
                labels: &Labels,
                reduction: Reduction,
            ) -> Result<(Tensor, Tensor)> {
                (**self).sum_and_weight_linear(hidden, linear, labels, reduction)
            }

            fn sum_and_weight_on(
                &self,
                backend: Backend,
                logits: &Tensor,
                labels: &Labels,
                reduction: Reduction,
            ) -> Result<(Tensor, Tensor)> {
                (**self).sum_and_weight_on(backend, logits, labels, reduction)
            }
        }
    )*};
}

boxed!(Box<dyn Loss>, Box<dyn Loss + Send + Sync>);
