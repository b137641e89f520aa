use tch::Tensor;

use crate::{Backend, Labels, Loss, Reduction, Result, check, composed};

/// A regression loss for labels of which some are bounds: a prediction of 6 is wrong for "below 5", one of 3 is not.
///
/// `ℓ(x, y)` where the label is exact (bound 0). Where the true number lies below the label (bound −1), the loss is `ℓ(x, y)`
/// if `x > y`, else 0; where it lies above (bound 1), `ℓ(x, y)` if `x < y`, else 0. The gradient is that of `ℓ`, or 0.
///
/// A prediction that keeps to its bound has loss 0 and gradient 0, exactly. The entry still counts in the denominator of
/// [`Reduction::Mean`].
///
/// * Shapes: predictions and labels `[N, C]` (any rank from 1).
/// * Labels: those of `ℓ`, a loss that is 0 where prediction and label are equal, with the bounds that
///   [`Labels::with_bounds`] sets.
/// * Errors: see [`Loss::forward`].
/// * Source: chemprop's bounded losses, which have this denominator, too.
///
/// ```
/// use masked_loss::{Censored, Labels, Loss, Reduction, SquaredError};
/// use tch::Tensor;
///
/// let labels = Labels::from_nan(&Tensor::from_slice(&[5.0, 5.0, f64::NAN]))?;
/// let labels = labels.with_bounds(&Tensor::from_slice(&[-1, -1, 0]))?; // below 5, below 5, missing
/// let predictions = Tensor::from_slice(&[3.0, 6.0, 0.0]);
/// let loss = Censored::new(SquaredError).forward(&predictions, &labels, Reduction::Mean)?;
/// assert_eq!(loss.double_value(&[]), 0.5);
/// # Ok::<(), masked_loss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Censored<L> {
    /// `ℓ`.
    pub loss: L,
}

impl<L> Censored<L> {
    /// This loss where labels are exact, and one-sided where they are bounds.
    pub fn new(loss: L) -> Self {
        Self { loss }
    }

    /// The predictions, with the label in place of each one that keeps to its bound. A weight of 0 would not do: `0 · ∞` is
    /// NaN.
    fn settled(&self, predictions: &Tensor, labels: &Labels) -> Result<Tensor> {
        check::floating("logits", predictions)?;
        check::like("logits", predictions, &labels.size(), labels.device())?;
        let Some(bounds) = labels.shared_bounds()? else { return Ok(predictions.shallow_clone()) };

        // Both in the kind that the loss computes in: in half precision a prediction could not be set to its label.
        let kind = composed::compute_kind(predictions)?;
        let (x, y) = (predictions.f_to_kind(kind)?, labels.shared_values()?.f_to_kind(kind)?);
        // NaN keeps to no bound.
        let below = bounds.f_lt(0)?.f_logical_and(&x.f_le_tensor(&y)?)?;
        let above = bounds.f_gt(0)?.f_logical_and(&x.f_ge_tensor(&y)?)?;
        Ok(y.f_where_self(&below.f_logical_or(&above)?, &x)?)
    }
}

impl<L: Loss> Loss for Censored<L> {
    fn forward_on(&self, backend: Backend, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.loss.forward_on(backend, &self.settled(logits, labels)?, &labels.without_bounds(), reduction)
    }

    fn sum_and_weight_on(
        &self,
        backend: Backend,
        logits: &Tensor,
        labels: &Labels,
        reduction: Reduction,
    ) -> Result<(Tensor, Tensor)> {
        self.loss.sum_and_weight_on(backend, &self.settled(logits, labels)?, &labels.without_bounds(), reduction)
    }
}
