//! Labels in a user's tensors, and how they are read by libtorch's operations: on devices without a kernel of this crate.

use tch::{Kind, Tensor};

use super::MISSING;
use crate::{Error, Result, check};

/// Labels as they stand in tensors, with the way in which missing ones are marked.
///
/// [`Labels::from_raw`](crate::Labels::from_raw) checks them once for many losses;
/// [`Loss::forward_raw`](crate::Loss::forward_raw) reads them once, for one loss.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// Every label is known.
    Complete(&'a Tensor),
    /// A label is known where the mask is 1 (or true), and missing where it is 0 (or false).
    Mask {
        /// What stands at a missing entry is ignored.
        labels: &'a Tensor,
        /// In the labels' shape.
        mask: &'a Tensor,
    },
    /// A label is missing where it is NaN.
    Nan(&'a Tensor),
    /// A label is missing where it equals a number, often -1.
    Sentinel(&'a Tensor, f64),
}

impl<'a> Raw<'a> {
    pub(crate) fn labels(self) -> &'a Tensor {
        match self {
            Self::Complete(labels) | Self::Mask { labels, .. } | Self::Nan(labels) | Self::Sentinel(labels, _) => {
                labels
            }
        }
    }

    /// All but the values.
    pub(crate) fn check(self) -> Result<()> {
        let labels = self.labels();
        check::dense("labels", labels)?;
        if let Self::Mask { mask, .. } = self {
            check::dense("mask", mask)?;
            check::like("mask", mask, &labels.size(), labels.device())?;
        }
        if labels.dim() == 0 {
            return Err(Error::Shape { tensor: "labels", expected: "of rank 1 or more".into(), found: vec![] });
        }
        Ok(())
    }

    /// Whether the mask, if there is one, holds nothing but 0 and 1.
    pub(crate) fn mask_is_binary(self) -> Result<bool> {
        Ok(self.unfit_for_a_mask()?.is_none())
    }

    fn unfit_for_a_mask(self) -> Result<Option<f64>> {
        match self {
            Self::Mask { mask, .. } if mask.f_kind()? != Kind::Bool => {
                check::first(mask, &mask.f_ne(0)?.f_logical_and(&mask.f_ne(1)?)?)
            }
            _ => Ok(None),
        }
    }

    fn missing(self) -> Result<Tensor> {
        Ok(match self {
            Self::Complete(labels) => labels.f_zeros_like()?.f_to_kind(Kind::Bool)?,
            Self::Mask { mask, .. } => mask.f_eq(0)?,
            Self::Sentinel(labels, sentinel) if !sentinel.is_nan() => labels.f_eq(sentinel)?,
            Self::Nan(labels) | Self::Sentinel(labels, _) => labels.f_isnan()?,
        })
    }

    /// Cells as [`Labels`](crate::Labels) hold them, and the smallest and the largest observed label.
    pub(super) fn encode(self) -> Result<(Tensor, Option<(f64, f64)>)> {
        if let Some(found) = self.unfit_for_a_mask()? {
            return Err(Error::Range { tensor: "mask", expected: "0 or 1".into(), found });
        }
        let (values, missing) = (self.labels(), self.missing()?);
        let kind = match values.f_kind()? {
            Kind::Double | Kind::Int | Kind::Int64 => Kind::Double,
            _ => Kind::Float,
        };
        let values = values.f_detach()?.f_to_kind(kind)?;
        let observed = missing.f_logical_not()?;
        let unusable = values.f_isfinite()?.f_logical_not()?.f_logical_and(&observed)?;
        if let Some(found) = check::first(&values, &unusable)? {
            return Err(Error::Range { tensor: "labels", expected: "a finite number where observed".into(), found });
        }
        let range = if values.numel() == 0 {
            None
        } else {
            let least = values.f_masked_fill(&missing, f64::INFINITY)?.f_min()?.f_double_value(&[])?;
            let largest = values.f_masked_fill(&missing, f64::NEG_INFINITY)?.f_max()?.f_double_value(&[])?;
            (least <= largest).then_some((least, largest))
        };
        let soft = values.f_ne(0)?.f_logical_and(&values.f_ne(1)?)?.f_logical_and(&observed)?;
        let cells = if soft.f_any()?.f_int64_value(&[])? == 0 {
            values.f_masked_fill(&missing, i64::from(MISSING))?.f_to_kind(Kind::Int8)?
        } else {
            values.f_masked_fill(&missing, f64::NAN)?
        };
        Ok((cells.f_contiguous()?, range))
    }
}
