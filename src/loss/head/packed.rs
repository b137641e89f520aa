//! A layer as the kernel of observed logits reads it.

use std::marker::PhantomData;

use masked_loss_core::{Scalar, Sparse};
use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use crate::composed::compute_kind;
use crate::native::{Element, TorchThreads, slice, slice_mut};
use crate::{Labels, Result};

/// Contiguous, in the numbers that it is computed with.
pub(super) struct Packed<F> {
    pub(super) hidden: Tensor,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    number: PhantomData<F>,
}

impl<F: Scalar + Element> Packed<F> {
    pub(super) fn of(hidden: &Tensor, linear: &Linear<'_>) -> Result<Self> {
        let packed = |tensor: &Tensor| -> Result<_> {
            Ok(tensor.f_detach()?.f_resolve_neg()?.f_to_kind(F::KIND)?.f_contiguous()?)
        };
        let (weight, bias) = (packed(linear.weight)?, linear.bias.map(packed).transpose()?);
        Ok(Self { hidden: packed(hidden)?, weight, bias, number: PhantomData })
    }

    pub(super) fn slices(&self) -> Result<masked_loss_core::Linear<'_, F>> {
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
        let mut logits = Tensor::f_empty([count as i64], (F::KIND, Device::Cpu))?;
        self.slices()?.logits(&TorchThreads, labels, slice_mut(&mut logits)?)?;
        Ok(logits)
    }
}

impl Linear<'_> {
    /// The logits of observed entries alone, row by row, as [`Labels::to_entries`] has them: `[K]`, in the type of `hidden`, or
    /// `f32` for half precision. On the CPU no other logit is computed; elsewhere they are selected from all logits. Nothing is
    /// recorded for backward.
    ///
    /// # Errors
    /// As [`Loss::forward_linear`](crate::Loss::forward_linear).
    pub fn observed_logits(&self, hidden: &Tensor, labels: &Labels) -> Result<Tensor> {
        self.check(hidden, labels)?;
        let kind = compute_kind(hidden)?;
        if hidden.device() != Device::Cpu {
            let logits = tch::no_grad(|| self.logits(hidden))?;
            return Ok(logits.f_masked_select(&labels.observed()?)?.f_to_kind(kind)?);
        }
        let labels = labels.observed_alone()?;
        let Some(sparse) = labels.entries()? else { unreachable!("the labels are sparse") };
        match kind {
            Kind::Double => Packed::<f64>::of(hidden, self)?.logits(&sparse),
            _ => Packed::<f32>::of(hidden, self)?.logits(&sparse),
        }
    }
}
