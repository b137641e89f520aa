//! Only the observed logits. The pass is in `masked_loss_core`; this module prepares its tensors.

use masked_loss_core::{Bf16, F16, HeadGradients, HeadPass, LayerGradients, Storage, Touched};
use tch::{Device, Kind, Tensor};

use super::joint::Joint;
use super::packed::Packed;
use crate::Result;
use crate::fused::scalar;
use crate::loss::accept;
use crate::native::{Element, TorchThreads, attach, buffer_like, records, slice_mut};
use crate::plan::Divisor;

/// The sum of the losses of sparse labels, divided by a divisor.
pub(super) fn forward(joint: &Joint<'_>, divisor: &Divisor) -> Result<Tensor> {
    let divisor = divisor.number()?.unwrap_or(1.0);
    match joint.hidden.f_kind()? {
        Kind::Double => forward_as::<f64>(joint, divisor),
        Kind::BFloat16 => forward_as::<Bf16>(joint, divisor),
        Kind::Half => forward_as::<F16>(joint, divisor),
        _ => forward_as::<f32>(joint, divisor),
    }
}

fn forward_as<W: Storage<Number: Element> + Element>(joint: &Joint<'_>, divisor: f64) -> Result<Tensor> {
    let kind = W::Number::KIND;
    let Joint { entries, hidden, linear, labels, plan } = joint;
    let Some(sparse) = labels.entries()? else { unreachable!("the labels are sparse") };
    let moves = linear.update.is_some();
    let of_hidden = records(hidden);
    let [of_weight, of_bias] = [Some(linear.weight), linear.bias].map(|of| of.is_some_and(|of| moves || records(of)));
    let touched = (of_weight || of_bias).then(|| Touched::new(&sparse));
    let packed = linear.sparse_gradient || moves;
    // This comes first: the rows to be read may have missed steps.
    let moving = match (linear.update, &touched) {
        (Some(update), Some(touched)) => Some((update, linear.claim(update, Some(touched.labels()))?, touched)),
        _ => None,
    };
    let layer = Packed::<W>::of(hidden, linear)?;
    let Packed { hidden: h, weight: w, bias: b, .. } = &layer;
    let buffer = |wanted: bool, like: &Tensor| -> Result<_> {
        match (wanted, packed, &touched) {
            (false, ..) => Ok(None),
            (true, true, Some(touched)) => Ok(Some(rows_like(like, touched.labels().len() as i64)?)),
            _ => Ok(Some(buffer_like(like)?)),
        }
    };
    let mut hidden_gradient = of_hidden.then(|| buffer_like(h)).transpose()?;
    let mut weight_gradient = buffer(of_weight, w)?;
    let mut bias_gradient = b.as_ref().map_or(Ok(None), |bias| buffer(of_bias, bias))?;
    let of_layer = match &touched {
        Some(touched) => {
            let (weight, bias) =
                (slice_of::<W::Number>(&mut weight_gradient)?, slice_of::<W::Number>(&mut bias_gradient)?);
            Some(LayerGradients { touched, packed, weight, bias })
        }
        None => None,
    };
    let pass = HeadPass {
        formula: entries.observed,
        linear: layer.slices()?,
        gradients: HeadGradients { hidden: slice_of::<W::Number>(&mut hidden_gradient)?, layer: of_layer },
        divisor,
    };
    let Some(sum) = pass.run(&TorchThreads, &sparse, &plan.weights.slices()?)? else {
        return Err(accept::outside(*entries, &layer.logits(&sparse)?)?);
    };
    let mut loss = scalar(sum / divisor, kind)?;
    if let Some((update, places, touched)) = moving {
        for (place, gradient) in places.into_iter().zip([weight_gradient.take(), bias_gradient.take()]) {
            if let (Some(place), Some(gradient)) = (place, gradient) {
                update.rows(place, touched.labels(), &gradient)?;
            }
        }
    }
    if let (true, Some(touched)) = (packed, &touched) {
        let indices = Tensor::f_from_slice(touched.labels())?.f_to_kind(Kind::Int64)?.f_unsqueeze(0)?;
        for (gradient, like) in [(&mut weight_gradient, Some(w)), (&mut bias_gradient, b.as_ref())] {
            if let (Some(rows), Some(like)) = (gradient.as_ref(), like) {
                let options = (kind, Device::Cpu);
                *gradient = Some(Tensor::f_sparse_coo_tensor_indices_size(&indices, rows, like.size(), options, true)?);
            }
        }
    }
    let gradients = [&hidden_gradient, &weight_gradient, &bias_gradient].map(Option::as_ref);
    // Also for a layer that was updated: callers may call backward on its loss as on any other.
    if [Some(*hidden), Some(linear.weight), linear.bias].into_iter().flatten().any(records) {
        let bias = (linear.bias.unwrap_or(linear.weight), gradients[2]);
        attach(&mut loss, [(hidden, gradients[0]), (linear.weight, gradients[1]), bias])?;
    }
    Ok(loss)
}

fn slice_of<F: Element>(tensor: &mut Option<Tensor>) -> Result<Option<&mut [F]>> {
    tensor.as_mut().map(slice_mut).transpose()
}

/// `count` uninitialised rows like those of a contiguous tensor, which has at least as many.
fn rows_like(like: &Tensor, count: i64) -> Result<Tensor> {
    // Rounded up to few sizes, so that buffers can be reused although each batch touches a different number of labels.
    const STEP: i64 = 512;
    let rows = ((count + STEP - 1) / STEP * STEP).min(like.size()[0]);
    Ok(buffer_like(&like.f_narrow(0, 0, rows)?)?.f_narrow(0, 0, count)?)
}
