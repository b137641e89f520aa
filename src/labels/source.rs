//! Raw labels as slices.

use masked_loss_core::{CellsMut, Encoded, Observed, RawLabels};
use tch::{Device, Kind, Tensor};

use super::raw::Raw;
use crate::Result;
use crate::native::{TorchThreads, slice, slice_mut};

/// Tensors that are read in place: contiguous, on the CPU, of a type that needs no conversion.
pub(crate) struct RawTensors {
    labels: Tensor,
    observed: Mask,
}

/// Which labels are observed.
enum Mask {
    All,
    /// Bytes.
    Bytes(Tensor),
    /// `f32`.
    Floats(Tensor),
    NotNan,
    Not(f64),
}

/// The parts of [`Labels`](super::Labels).
pub(super) struct Made {
    pub(super) cells: Tensor,
    pub(super) observed_per_row: Tensor,
    pub(super) range: masked_loss_core::Range,
}

impl RawTensors {
    /// Returns `None` for tensors on another device, or for a mask with values other than 0 and 1.
    pub(crate) fn new(raw: Raw<'_>) -> Result<Option<Self>> {
        let labels = raw.labels();
        let on_cpu = |tensor: &Tensor| tensor.device() == Device::Cpu;
        if !on_cpu(labels) {
            return Ok(None);
        }
        let observed = match raw {
            Raw::Complete(_) => Mask::All,
            Raw::Nan(_) => Mask::NotNan,
            Raw::Sentinel(_, sentinel) if sentinel.is_nan() => Mask::NotNan,
            // Round the sentinel like the labels.
            Raw::Sentinel(_, sentinel) if matches!(labels.f_kind()?, Kind::Half | Kind::BFloat16) => {
                Mask::Not(Tensor::from(sentinel).f_to_kind(labels.f_kind()?)?.f_double_value(&[])?)
            }
            Raw::Sentinel(_, sentinel) => Mask::Not(sentinel),
            Raw::Mask { mask, .. } if !on_cpu(mask) => return Ok(None),
            Raw::Mask { mask, .. } => match mask.f_kind()? {
                Kind::Bool | Kind::Uint8 | Kind::Int8 => Mask::Bytes(dense(mask)?.f_view_dtype(Kind::Uint8)?),
                Kind::Float => Mask::Floats(dense(mask)?),
                // No other value is rounded to 0 or 1.
                Kind::Half | Kind::BFloat16 => Mask::Floats(dense(&mask.f_to_kind(Kind::Float)?)?),
                _ if !raw.mask_is_binary()? => return Ok(None),
                _ => Mask::Bytes(dense(&mask.f_to_kind(Kind::Uint8)?)?),
            },
        };
        let labels = match labels.f_kind()? {
            Kind::Bool => dense(labels)?.f_view_dtype(Kind::Uint8)?,
            Kind::Half | Kind::BFloat16 | Kind::Int16 => dense(&labels.f_to_kind(Kind::Float)?)?,
            Kind::Int => dense(&labels.f_to_kind(Kind::Double)?)?,
            _ => dense(labels)?,
        };
        let nowhere = |tensor: &Tensor| tensor.numel() > 0 && tensor.data_ptr().is_null();
        let mask_nowhere = matches!(&observed, Mask::Bytes(mask) | Mask::Floats(mask) if nowhere(mask));
        Ok((!mask_nowhere && !nowhere(&labels)).then_some(Self { labels, observed }))
    }

    /// How many labels are observed; `None` if the mask holds a value other than 0 and 1.
    pub(crate) fn count(&self) -> Result<Option<usize>> {
        Ok(self.slices()?.count(&TorchThreads)?)
    }

    pub(crate) fn slices(&self) -> Result<masked_loss_core::Raw<'_>> {
        let labels = match self.labels.f_kind()? {
            Kind::Double => RawLabels::F64(slice(&self.labels)?),
            Kind::Int64 => RawLabels::I64(slice(&self.labels)?),
            Kind::Uint8 => RawLabels::U8(slice(&self.labels)?),
            Kind::Int8 => RawLabels::I8(slice(&self.labels)?),
            _ => RawLabels::F32(slice(&self.labels)?),
        };
        let observed = match &self.observed {
            Mask::All => Observed::All,
            Mask::Bytes(mask) => Observed::Bytes(slice(mask)?),
            Mask::Floats(mask) => Observed::Floats(slice(mask)?),
            Mask::NotNan => Observed::NotNan,
            Mask::Not(sentinel) => Observed::Not(*sentinel),
        };
        Ok(masked_loss_core::Raw { labels, observed })
    }

    /// Returns `None` for an invalid label or mask value.
    pub(super) fn encode(&self) -> Result<Option<Made>> {
        let (raw, size) = (self.slices()?, self.labels.size());
        let mut observed_per_row = Tensor::f_empty(&size[..1], (Kind::Int64, Device::Cpu))?;
        let mut encode = |kind| {
            let mut cells = Tensor::f_empty(&size[..], (kind, Device::Cpu))?;
            let memory = match kind {
                Kind::Int8 => CellsMut::Bytes(slice_mut(&mut cells)?),
                Kind::Float => CellsMut::F32(slice_mut(&mut cells)?),
                _ => CellsMut::F64(slice_mut(&mut cells)?),
            };
            Ok::<_, crate::Error>((raw.encode(&TorchThreads, memory, slice_mut(&mut observed_per_row)?)?, cells))
        };
        let (mut encoded, mut cells) = encode(Kind::Int8)?;
        if encoded == Encoded::Soft {
            (encoded, cells) = encode(if raw.labels.fit_f32() { Kind::Float } else { Kind::Double })?;
        }
        Ok(match encoded {
            Encoded::Complete(range) => Some(Made { cells, observed_per_row, range }),
            Encoded::Soft | Encoded::Faulty => None,
        })
    }
}

fn dense(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_detach()?.f_resolve_neg()?.f_contiguous()?)
}
