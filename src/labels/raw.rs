//! Labels in a user's tensors, read by libtorch's operations: on devices for which this crate has no kernel, and to
//! find out what is wrong with them.

use tch::{Kind, Tensor};

use super::cells::MISSING;
use crate::{Error, Result, check};

/// Labels in your tensors, and how they mark missing ones.
///
/// [`Labels::from_raw`](crate::Labels::from_raw) checks them once for many losses;
/// [`Loss::forward_raw`](crate::Loss::forward_raw) reads them once, for one loss.
///
/// On the CPU, contiguous labels of `f32`, `f64`, `i64`, `i8`, `u8` or `bool`, and a contiguous mask of `bool`, `u8`,
/// `i8` or `f32`, are read in place; others are converted first.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Raw<'a> {
    /// Every label is known.
    Complete(&'a Tensor),
    /// A label is known where the mask is 1 (or true), and missing where it is 0 (or false).
    Mask {
        /// The values of missing entries are ignored.
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

    /// Checks everything except the values.
    pub(crate) fn check(self) -> Result<()> {
        let labels = self.labels();
        check::dense("labels", labels)?;
        if let Self::Mask { mask, .. } = self {
            check::dense("mask", mask)?;
            check::like("mask", mask, &labels.size(), labels.device())?;
        }
        if labels.dim() == 0 {
            return Err(Error::Shape { argument: "labels", expected: "of rank 1 or more".into(), found: vec![] });
        }
        Ok(())
    }

    /// Whether every value of the mask, if there is one, is 0 or 1.
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

    /// Cells as stored by [`Labels`](crate::Labels), and the smallest and the largest observed label.
    pub(super) fn encode(self) -> Result<(Tensor, Option<(f64, f64)>)> {
        if let Some(found) = self.unfit_for_a_mask()? {
            return Err(Error::Range { argument: "mask", expected: "0 or 1".into(), found });
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
            return Err(Error::Range { argument: "labels", expected: "a finite number where observed".into(), found });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;

    #[test]
    fn the_kernel_encodes_labels_as_libtorchs_operations_do() {
        tch::manual_seed(1);
        let kinds =
            [Kind::Double, Kind::Float, Kind::Half, Kind::Int64, Kind::Int, Kind::Int16, Kind::Int8, Kind::Uint8];
        for size in [&[7i64, 3001][..], &[20_000], &[3000, 11], &[2, 3, 5], &[1, 40_000], &[3, 0], &[0, 3]] {
            for (largest, kind) in [1, 2, 9].into_iter().flat_map(|largest| kinds.map(|kind| (largest, kind))) {
                let labels = Tensor::randint(largest, size, (Kind::Int64, tch::Device::Cpu)).to_kind(kind);
                let mask = Tensor::rand(size, tch::kind::FLOAT_CPU).lt(0.3);
                let nan = match labels.is_floating_point() {
                    true => labels.masked_fill(&mask, f64::NAN),
                    false => labels.shallow_clone(),
                };
                for raw in [
                    Raw::Complete(&labels),
                    Raw::Mask { labels: &labels, mask: &mask },
                    Raw::Nan(&nan),
                    Raw::Sentinel(&labels, 0.0),
                    Raw::Sentinel(&labels, 0.5),
                    Raw::Sentinel(&labels, -1.0),
                ] {
                    let made = Labels::from_raw(raw).unwrap();
                    let (cells, range) = raw.encode().unwrap();
                    let what = format!("{size:?}, up to {largest}, {kind:?}");
                    let table = made.cells().unwrap();
                    assert_eq!((table.kind(), made.range), (cells.kind(), range), "{what}");
                    assert!(table.allclose(&cells, 0.0, 0.0, true), "{what}");
                    let observed = made.observed().unwrap().to_kind(Kind::Int64);
                    let width = size[1..].iter().product::<i64>();
                    let per_row = observed.reshape([size[0], width]).sum_dim_intlist(1i64, false, Kind::Int64);
                    assert_eq!(made.observed_per_row, per_row, "{what}");
                    let per_label = crate::labels::sum_per_label(&observed, Kind::Int64).unwrap();
                    assert_eq!(made.observed_per_label().unwrap(), per_label, "{what}");
                }
            }
        }
    }
}
