//! Labels as the user's tensors hold them, read where they lie.

mod labels;
mod source;

use std::ops::RangeInclusive;

use tch::{Device, Kind, Tensor};

pub(super) use self::labels::{Given, Seen};
use self::source::Known;
pub(super) use self::source::RawSlices;
use super::memory::slice;
use crate::Result;
use crate::labels::Raw;

/// Tensors that can be read where they lie: in a type that is read as it is, contiguous, on the CPU.
pub(crate) struct RawTensors {
    labels: Tensor,
    missing: Gaps<Tensor>,
}

/// Which labels are missing.
enum Gaps<T> {
    None,
    /// 1 where known, 0 where missing: bytes.
    Bytes(T),
    /// The same, as `f32`.
    Floats(T),
    Nan,
    Sentinel(f64),
}

impl RawTensors {
    /// None of tensors that are elsewhere, or of a mask that holds anything but 0 and 1.
    pub(crate) fn new(raw: Raw<'_>) -> Result<Option<Self>> {
        let labels = raw.labels();
        let on_cpu = |tensor: &Tensor| tensor.device() == Device::Cpu;
        if !on_cpu(labels) {
            return Ok(None);
        }
        let missing = match raw {
            Raw::Complete(_) => Gaps::None,
            Raw::Nan(_) => Gaps::Nan,
            Raw::Sentinel(_, sentinel) if sentinel.is_nan() => Gaps::Nan,
            // Rounded as the labels are.
            Raw::Sentinel(_, sentinel) if matches!(labels.f_kind()?, Kind::Half | Kind::BFloat16) => {
                Gaps::Sentinel(Tensor::from(sentinel).f_to_kind(labels.f_kind()?)?.f_double_value(&[])?)
            }
            Raw::Sentinel(_, sentinel) => Gaps::Sentinel(sentinel),
            Raw::Mask { mask, .. } if !on_cpu(mask) => return Ok(None),
            Raw::Mask { mask, .. } => match mask.f_kind()? {
                Kind::Bool | Kind::Uint8 | Kind::Int8 => Gaps::Bytes(dense(mask)?.f_view_dtype(Kind::Uint8)?),
                Kind::Float => Gaps::Floats(dense(mask)?),
                // Nothing but 0 and 1 becomes 0 and 1.
                Kind::Half | Kind::BFloat16 => Gaps::Floats(dense(&mask.f_to_kind(Kind::Float)?)?),
                _ if !raw.mask_is_binary()? => return Ok(None),
                _ => Gaps::Bytes(dense(&mask.f_to_kind(Kind::Uint8)?)?),
            },
        };
        let labels = match labels.f_kind()? {
            Kind::Bool => dense(labels)?.f_view_dtype(Kind::Uint8)?,
            Kind::Half | Kind::BFloat16 | Kind::Int16 => dense(&labels.f_to_kind(Kind::Float)?)?,
            Kind::Int => dense(&labels.f_to_kind(Kind::Double)?)?,
            _ => dense(labels)?,
        };
        let nowhere = |tensor: &Tensor| tensor.numel() > 0 && tensor.data_ptr().is_null();
        let mask_nowhere = matches!(&missing, Gaps::Bytes(mask) | Gaps::Floats(mask) if nowhere(mask));
        Ok((!mask_nowhere && !nowhere(&labels)).then_some(Self { labels, missing }))
    }

    pub(super) fn size(&self) -> Vec<i64> {
        self.labels.size()
    }

    /// How many labels are observed; none if the mask holds anything but 0 and 1.
    pub(crate) fn count(&self) -> Result<Option<usize>> {
        struct Count;
        impl Visitor for Count {
            type Output = Option<usize>;
            fn visit<L: Given>(self, source: &RawSlices<'_, L>) -> Result<Option<usize>> {
                let count = source.count()?;
                Ok((!source.at_fault()).then_some(count))
            }
        }
        self.visit(&(f64::MIN..=f64::MAX), Count)
    }

    /// Hands the labels in their own type to a visitor. `accepted`: what an observed label may be.
    pub(super) fn visit<V: Visitor>(&self, accepted: &RangeInclusive<f64>, visitor: V) -> Result<V::Output> {
        match self.labels.f_kind()? {
            Kind::Double => visitor.visit(&self.source::<f64>(accepted)?),
            Kind::Int64 => visitor.visit(&self.source::<i64>(accepted)?),
            Kind::Uint8 => visitor.visit(&self.source::<u8>(accepted)?),
            Kind::Int8 => visitor.visit(&self.source::<i8>(accepted)?),
            _ => visitor.visit(&self.source::<f32>(accepted)?),
        }
    }

    fn source<L: Given>(&self, accepted: &RangeInclusive<f64>) -> Result<RawSlices<'_, L>> {
        let known = match &self.missing {
            Gaps::None => Known::All,
            Gaps::Bytes(mask) => Known::Bytes(slice(mask)?),
            Gaps::Floats(mask) => Known::Floats(slice(mask)?),
            Gaps::Nan => Known::Numbers,
            Gaps::Sentinel(sentinel) => L::from_f64(*sentinel).map_or(Known::All, Known::AllBut),
        };
        let accepted = (accepted.start().max(f64::MIN), accepted.end().min(f64::MAX));
        Ok(RawSlices::new(slice(&self.labels)?, known, accepted))
    }
}

fn dense(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_detach()?.f_resolve_neg()?.f_contiguous()?)
}

/// What is done with labels of a type that is not known before.
pub(super) trait Visitor {
    type Output;
    fn visit<L: Given>(self, source: &RawSlices<'_, L>) -> Result<Self::Output>;
}
