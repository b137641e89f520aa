//! Labels of which some are bounds.

use tch::{Kind, Tensor};

use super::checked::Labels;
use super::factors::Factors;
use super::stored::Stored;
use crate::{Error, Result, check};

impl Labels {
    /// Marks the labels that are bounds, for [`Censored`](crate::Censored). `bounds`, in the labels' shape, is −1 where the
    /// true number lies below the label, 1 where it lies above, and 0 where the label is exact. The bounds of missing
    /// entries are ignored. Replaces bounds that were set before.
    ///
    /// ```
    /// use masked_loss::Labels;
    /// use tch::Tensor;
    ///
    /// let labels = Labels::from_nan(&Tensor::from_slice(&[5.0, 10.0, f64::NAN]))?;
    /// let labels = labels.with_bounds(&Tensor::from_slice(&[-1, 0, 0]))?; // below 5, exactly 10, missing
    /// # Ok::<(), masked_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Device`]; [`Error::Range`] for an observed bound that is not −1, 0 or 1.
    pub fn with_bounds(self, bounds: &Tensor) -> Result<Self> {
        check::dense("bounds", bounds)?;
        check::like("bounds", bounds, &self.size(), self.device())?;
        let missing = self.missing()?;
        let bounds = bounds.f_detach()?.f_masked_fill(&missing, 0)?;
        let known = bounds.f_eq(-1)?.f_logical_or(&bounds.f_eq(0)?)?.f_logical_or(&bounds.f_eq(1)?)?;
        if let Some(found) = check::first(&bounds, &known.f_logical_not()?)? {
            return Err(Error::Range { argument: "bounds", expected: "-1, 0 or 1 where observed".into(), found });
        }
        let bounds = bounds.f_to_kind(Kind::Int8)?.f_contiguous()?;
        let (table, bounds, weights) = match self.own_weighted()? {
            Some((entries, weights)) => {
                let bounds = entries.gather(&bounds)?;
                (Stored::Sparse(entries), bounds, weights)
            }
            None => (Stored::Dense(self.cells()?), bounds, self.own(&self.weights)?),
        };
        Ok(Self { table, index: None, weights: Factors { bounds: Some(bounds), ..weights }, ..self })
    }

    /// The bounds, in the labels' shape (`i8`, 0 where missing); `None` if all labels are exact.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn bounds(&self) -> Result<Option<Tensor>> {
        // The caller may change theirs.
        Ok(self.shared_bounds()?.map(|bounds| bounds.f_detach_copy()).transpose()?)
    }

    /// The same, for callers that do not change them; weights per entry are not cut along.
    pub(crate) fn shared_bounds(&self) -> Result<Option<Tensor>> {
        let bounds = self.weights.bounds.as_ref().map(Tensor::shallow_clone);
        Ok(self.own(&Factors { bounds, ..Factors::default() })?.bounds)
    }

    /// For a loss that takes every label as a number.
    pub(crate) fn check_exact(&self) -> Result<()> {
        match self.weights.bounds {
            None => Ok(()),
            Some(_) => {
                let expected = "exact numbers, or `Censored` around the loss".into();
                Err(Error::Kind { argument: "labels", expected, found: "bounds".into() })
            }
        }
    }

    /// The same labels, all taken as exact.
    pub(crate) fn without_bounds(&self) -> Self {
        let mut labels = self.clone();
        labels.weights.bounds = None;
        labels
    }
}
