use tch::{Kind, Tensor};

use crate::{Error, Labels, Loss, Path, Reduction, Result, check, composed};

/// A regression loss where some labels are bounds: of "below 5" it is known that 6 is wrong, and nothing else.
///
/// `ℓ(x, y)` where the bound `b` is 0, the label being exact; where it is −1, the true number lies below the label and
/// only `x > y` counts; where it is 1, it lies above and only `x < y` counts. The gradient is that of `ℓ` where it
/// counts.
///
/// An entry that keeps to its bound has loss 0 and gradient 0, exactly, and is observed all the same: it counts in the
/// denominator of [`Reduction::Mean`].
///
/// * Shapes: predictions, labels and bounds `[N, C]` (any rank from 1).
/// * Labels: those of `ℓ`, a loss that is 0 where prediction and label are equal.
/// * Errors: see [`Loss::forward`]; [`Error::Range`] for an observed bound that is not −1, 0 or 1, [`Error::Shape`] and
///   [`Error::Device`] for bounds that do not fit the labels. A look at the bounds waits for a GPU.
/// * Source: chemprop's bounded losses, which have this denominator, too.
///
/// ```
/// use masked_loss::{Censored, Labels, Loss, Reduction, SquaredError};
/// use tch::Tensor;
///
/// let labels = Labels::from_nan(&Tensor::from_slice(&[5.0, 5.0, f64::NAN]))?;
/// let loss = Censored { loss: SquaredError, bound: Tensor::from_slice(&[-1, -1, 0]) };
/// let predictions = Tensor::from_slice(&[3.0, 6.0, 0.0]);
/// assert_eq!(loss.forward(&predictions, &labels, Reduction::Mean)?.double_value(&[]), 0.5);
/// # Ok::<(), masked_loss::Error>(())
/// ```
#[derive(Debug)]
pub struct Censored<L> {
    /// `ℓ`.
    pub loss: L,
    /// `b`: −1, 0 or 1; the bounds of missing entries are ignored.
    pub bound: Tensor,
}

impl<L> Censored<L> {
    /// The predictions, with the label in place of those that keep to their bound: as weights of 0 would let the NaN of
    /// `0 · ∞` through.
    fn settled(&self, predictions: &Tensor, labels: &Labels) -> Result<Tensor> {
        check::floating("logits", predictions)?;
        check::like("logits", predictions, &labels.size(), labels.device())?;
        check::dense("bound", &self.bound)?;
        check::like("bound", &self.bound, &labels.size(), labels.device())?;
        let bound = self.bound.f_to_kind(Kind::Float)?;
        let unknown = bound.f_abs()?.f_ne(1)?.f_logical_and(&bound.f_ne(0)?)?;
        if let Some(found) = check::first(&bound, &unknown.f_logical_and(&labels.observed()?)?)? {
            return Err(Error::Range { tensor: "bound", expected: "-1, 0 or 1 where observed".into(), found });
        }

        // Both as the loss sees them: in half precision a prediction could not be set to its label.
        let kind = composed::compute_kind(predictions)?;
        let (x, y) = (predictions.f_to_kind(kind)?, labels.shared_values()?.f_to_kind(kind)?);
        // NaN keeps to no bound.
        let below = bound.f_lt(0)?.f_logical_and(&x.f_le_tensor(&y)?)?;
        let above = bound.f_gt(0)?.f_logical_and(&x.f_ge_tensor(&y)?)?;
        Ok(y.f_where_self(&below.f_logical_or(&above)?, &x)?)
    }
}

impl<L: Loss> Loss for Censored<L> {
    fn forward_on(&self, path: Path, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<Tensor> {
        self.loss.forward_on(path, &self.settled(logits, labels)?, labels, reduction)
    }

    fn sum_and_weight(&self, logits: &Tensor, labels: &Labels, reduction: Reduction) -> Result<(Tensor, Tensor)> {
        self.loss.sum_and_weight(&self.settled(logits, labels)?, labels, reduction)
    }
}
