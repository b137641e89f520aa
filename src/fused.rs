//! The fused backend: value and gradient in one pass over memory, from the same formula as the composed backend.
//! `masked_loss_core` implements the pass; this module connects it with tensors.

use masked_loss_core::{Bf16, Entries, F16, Raw, Simd, Storage, Table, Weights};
use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::composed::{TensorFormula, without_tensors};
use crate::native::{Element, TorchThreads, attach, buffer_like, records, slice, slice_mut};

/// A readable name of the instructions that the fused backend uses on this machine: the best ones, or those that the
/// environment variable `MASKED_LOSS_SIMD` names, such as `portable` or `avx2`.
///
/// # Errors
/// [`Error::Environment`](crate::Error::Environment) if the variable names instructions that this machine does not
/// have.
pub fn simd_level() -> Result<&'static str> {
    Ok(Simd::chosen()?.name())
}

/// Whether the fused backend supports this input.
pub(crate) fn serves(input: &Tensor) -> bool {
    input.device() == Device::Cpu
}

/// A pass over all entries, with tensors for input and results.
#[derive(Clone, Copy)]
pub(crate) struct TensorPass<'a> {
    pub(crate) entries: Entries<'a, dyn TensorFormula + 'a>,
    pub(crate) input: &'a Tensor,
    /// `None` returns each entry's loss.
    pub(crate) divisor: Option<f64>,
}

/// Labels that fit the input.
#[derive(Clone, Copy)]
pub(crate) enum LabelSlices<'a> {
    Checked(&'a Table<'a>, &'a Weights<'a>),
    Raw(&'a Raw<'a>),
}

impl TensorPass<'_> {
    /// Returns the loss; `None` if the loss does not accept an input or a raw label.
    pub(crate) fn run(self, targets: LabelSlices<'_>) -> Result<Option<Tensor>> {
        match self.input.f_kind()? {
            Kind::Double => self.run_as::<f64>(targets),
            Kind::Half => self.run_as::<F16>(targets),
            Kind::BFloat16 => self.run_as::<Bf16>(targets),
            _ => self.run_as::<f32>(targets),
        }
    }

    fn run_as<X>(self, targets: LabelSlices<'_>) -> Result<Option<Tensor>>
    where
        X: Storage<Number: Element> + Element,
    {
        let Self { entries, input, divisor } = self;
        let dense = input.f_detach()?.f_resolve_neg()?.f_contiguous()?;
        let mut gradient = records(input).then(|| buffer_like(&dense)).transpose()?;
        let mut values = match divisor {
            None => Some(Tensor::f_empty(input.size(), (X::Number::KIND, Device::Cpu))?),
            Some(_) => None,
        };
        // This defines 0 / 0 as 0.
        let divisor = divisor.filter(|&divisor| divisor != 0.0).unwrap_or(1.0);
        let pass = masked_loss_core::Pass::<X> {
            entries: without_tensors(entries),
            input: slice(&dense)?,
            gradient: gradient.as_mut().map(slice_mut).transpose()?,
            values: values.as_mut().map(slice_mut).transpose()?,
            divisor,
        };
        let sum = match targets {
            LabelSlices::Checked(table, weights) => pass.labels(&TorchThreads, table, weights)?,
            LabelSlices::Raw(raw) => pass.raw(&TorchThreads, raw)?,
        };
        let Some(sum) = sum else { return Ok(None) };
        let mut result = match values {
            Some(values) => values,
            None => scalar(sum / divisor, X::Number::KIND)?,
        };
        if let Some(gradient) = gradient {
            attach(&mut result, [(input, Some(&gradient))])?;
        }
        Ok(Some(result))
    }
}

/// A tensor of rank 0.
pub(crate) fn scalar(number: f64, kind: Kind) -> Result<Tensor> {
    let tensor = match kind {
        Kind::Double => Tensor::f_from_slice(&[number])?,
        _ => Tensor::f_from_slice(&[number as f32])?,
    };
    Ok(tensor.f_reshape([0i64; 0])?)
}
