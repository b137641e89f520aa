use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::{Real, Result};

/// A loss that is one formula of one entry. The formula is written once and serves every implementation.
///
/// A new loss needs only [`entry`](Self::entry). Mark it, and every function that it calls, `#[inline(always)]`: the
/// kernel vectorises only what is inlined into its loop.
///
/// ```
/// use masked_loss_core::{Dual, Elementwise, Real};
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
/// let loss = Brier.entry(&Dual::variable(0.0), &Dual::fixed(1.0));
/// assert_eq!((loss.value, loss.derivative), (0.25, -0.25));
/// ```
pub trait Elementwise: Send + Sync {
    /// The loss of one observed entry. Missing entries are never passed in.
    fn entry<R: Real>(&self, input: &R, label: &R) -> R;

    /// The loss of one entry where each label has a [`parameter`](Self::parameter) of its own.
    #[inline(always)]
    fn entry_with<R: Real>(&self, input: &R, label: &R, parameter: &R) -> R {
        let _ = parameter;
        self.entry(input, label)
    }

    /// A parameter with one number for each of the C labels: its name, which errors use, and the C numbers.
    /// [`entry_with`](Self::entry_with) receives the number of its label. `None` if the formula has no such parameter.
    fn parameter(&self) -> Option<(&'static str, &[f64])> {
        None
    }

    /// Checks the loss's own settings.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) naming the setting, see [`check_setting`](crate::check_setting).
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// The range of observed inputs. NaN is always accepted, so that it reaches the loss.
    fn input_range(&self) -> RangeInclusive<f64> {
        REAL
    }

    /// The range of observed labels.
    fn label_range(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }
}

/// A shared loss.
impl<E: Elementwise> Elementwise for Arc<E> {
    #[inline(always)]
    fn entry<R: Real>(&self, input: &R, label: &R) -> R {
        (**self).entry(input, label)
    }

    #[inline(always)]
    fn entry_with<R: Real>(&self, input: &R, label: &R, parameter: &R) -> R {
        (**self).entry_with(input, label, parameter)
    }

    fn parameter(&self) -> Option<(&'static str, &[f64])> {
        (**self).parameter()
    }

    fn validate(&self) -> Result<()> {
        (**self).validate()
    }

    fn input_range(&self) -> RangeInclusive<f64> {
        (**self).input_range()
    }

    fn label_range(&self) -> RangeInclusive<f64> {
        (**self).label_range()
    }
}

/// Any number.
pub const REAL: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;
