//! A layer in the form that the kernel of observed logits reads.

use std::marker::PhantomData;

use masked_loss_core::{Bf16, F16, Sparse, Storage};
use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use crate::composed::compute_kind;
use crate::native::{Element, TorchThreads, slice, slice_mut};
use crate::{Labels, Result};

/// Contiguous tensors: weight and bias in the type in which they are stored, hidden vectors in that of the computation.
pub(super) struct Packed<W> {
    pub(super) hidden: Tensor,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    stored: PhantomData<W>,
}

impl<W: Storage<Number: Element> + Element> Packed<W> {
    pub(super) fn of(hidden: &Tensor, linear: &Linear<'_>) -> Result<Self> {
        let packed = |tensor: &Tensor, kind: Kind| -> Result<_> {
            Ok(tensor.f_detach()?.f_resolve_neg()?.f_to_kind(kind)?.f_contiguous()?)
        };
        let bias = linear.bias.map(|bias| packed(bias, W::KIND)).transpose()?;
        let (hidden, weight) = (packed(hidden, W::Number::KIND)?, packed(linear.weight, W::KIND)?);
        Ok(Self { hidden, weight, bias, stored: PhantomData })
    }

    pub(super) fn slices(&self) -> Result<masked_loss_core::Linear<'_, W::Number, W>> {
        Ok(masked_loss_core::Linear {
            hidden: slice(&self.hidden)?,
            weight: slice(&self.weight)?,
            bias: self.bias.as_ref().map(slice).transpose()?,
            width: self.hidden.size()[1] as usize,
        })
    }

    /// The observed logits, row by row.
    pub(super) fn logits(&self, labels: &Sparse<'_>) -> Result<Tensor> {
        let count: usize = (0..labels.rows()).map(|row| labels.row(row).len()).sum();
        let mut logits = Tensor::f_empty([count as i64], (W::Number::KIND, Device::Cpu))?;
        self.slices()?.logits(&TorchThreads, labels, slice_mut(&mut logits)?)?;
        Ok(logits)
    }
}

impl Linear<'_> {
    /// Only the logits of observed entries, row by row, in the order of [`Labels::to_entries`]: `[K]`, in the type of
    /// `hidden`, or `f32` for half precision. On the CPU no other logit is computed; on other devices these are selected
    /// from all logits. Nothing is recorded for backward.
    ///
    /// # Errors
    /// As [`Loss::forward_linear`](crate::Loss::forward_linear).
    pub fn observed_logits(&self, hidden: &Tensor, labels: &Labels) -> Result<Tensor> {
        self.check(hidden, labels)?;
        if hidden.device() != Device::Cpu {
            let kind = compute_kind(hidden)?;
            let logits = tch::no_grad(|| self.logits(hidden))?;
            return Ok(logits.f_masked_select(&labels.observed()?)?.f_to_kind(kind)?);
        }
        let labels = labels.observed_alone()?;
        let Some(sparse) = labels.entries()? else { unreachable!("the labels are sparse") };
        match hidden.f_kind()? {
            Kind::Double => Packed::<f64>::of(hidden, self)?.logits(&sparse),
            Kind::BFloat16 => Packed::<Bf16>::of(hidden, self)?.logits(&sparse),
            Kind::Half => Packed::<F16>::of(hidden, self)?.logits(&sparse),
            _ => Packed::<f32>::of(hidden, self)?.logits(&sparse),
        }
    }
}
