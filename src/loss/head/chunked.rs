//! All logits, a chunk of labels at a time, so that memory never holds more.

use std::ops::Range;

use masked_loss_core::Entries;
use tch::{Device, Kind, Tensor};

use super::joint::Joint;
use crate::composed::compute_kind;
use crate::loss::backend::Backend;
use crate::loss::call::on;
use crate::native::{attach, records};
use crate::plan::Divisor;
use crate::{Labels, Result};

/// The number of logits in memory at a time, and of their derivatives.
const LOGITS: i64 = 1 << 21;

/// Computing this many more labels in one matrix multiplication is faster than starting another one.
const RUN: i64 = 64;

/// The sum of the losses, divided by a divisor.
pub(super) fn forward(joint: &Joint<'_>, divisor: &Divisor) -> Result<Tensor> {
    let Joint { entries, hidden, linear, labels, plan } = joint;
    let kind = compute_kind(hidden)?;
    let numbers = |tensor: &Tensor| -> Result<_> { Ok(tensor.f_detach()?.f_to_kind(kind)?) };
    let inputs = [Some(*hidden), Some(linear.weight), linear.bias];
    let places = linear.update.map_or(Ok([None; 2]), |update| linear.claim(update, None))?;
    let mut wanted = inputs.map(|input| input.is_some_and(records));
    let (recorded, moves) = (wanted.contains(&true), linear.update.is_some());
    if moves {
        (wanted[1], wanted[2]) = (false, false);
    }
    let derives = moves || wanted.contains(&true);
    let h = numbers(hidden)?;
    let like = |wanted: bool, input: Option<&Tensor>| -> Result<_> {
        let input = input.filter(|_| wanted);
        Ok(input.map(|input| Tensor::f_zeros(input.size(), (kind, input.device()))).transpose()?)
    };
    let mut hidden_gradient = like(wanted[0], inputs[0])?;
    let (weight_gradient, bias_gradient) = (like(wanted[1], inputs[1])?, like(wanted[2], inputs[2])?);
    let mut total = Tensor::f_zeros([0i64; 0], (Kind::Double, hidden.device()))?;
    let (rows, count) = (labels.size()[0], labels.size()[1]);
    let step = (LOGITS / rows.max(1)).max(1);
    // An update changes rows without a gradient too.
    let skips = entries.missing.is_none() && !moves && labels.device() == Device::Cpu;
    let ranges = if skips { observed(labels)? } else { Vec::from_iter((count > 0).then_some(0..count)) };
    for (start, length) in ranges.into_iter().flat_map(|range| parts(range, step)) {
        let of = |tensor: &Tensor| tensor.f_narrow(0, start, length);
        let (some, weights) = labels.of_labels(&plan.weights, start, length)?;
        let w = numbers(&of(linear.weight)?)?;
        let b = linear.bias.map(|bias| numbers(&of(bias)?)).transpose()?;
        let logits = h.f_linear(&w, b.as_ref())?.f_set_requires_grad(derives)?;
        let entries = Entries { part: Some([start as usize, (start + length) as usize]), ..*entries };
        let loss = || on(Backend::Auto, entries, &logits, &some, &weights, divisor);
        // A layer with an update needs its slopes even if the caller records no gradients.
        let loss = if derives { tch::with_grad(loss)? } else { loss()? };
        total = total.f_add(&loss.f_detach()?)?;
        if !derives {
            continue;
        }
        let slopes = Tensor::f_run_backward(&[&loss], &[&logits], false, false)?.remove(0);
        if let Some(gradient) = &mut hidden_gradient {
            let _ = gradient.f_addmm_(&slopes, &w)?;
        }
        if let Some(gradient) = &weight_gradient {
            let _ = slopes.f_tr()?.f_mm_out(&of(gradient)?, &h)?;
        }
        if let Some(gradient) = &bias_gradient {
            of(gradient)?.f_copy_(&slopes.f_sum_dim_intlist(0i64, false, kind)?)?;
        }
        if let (Some(update), [weight, bias]) = (linear.update, places) {
            if let Some(bias) = bias {
                update.part(bias, start, &slopes.f_sum_dim_intlist(0i64, false, kind)?)?;
            }
            if let Some(weight) = weight {
                update.part(weight, start, &slopes.f_tr()?.f_mm(&h)?)?;
            }
        }
    }
    let mut loss = total.f_to_kind(kind)?;
    if recorded {
        let (h, w, b) = (hidden_gradient.as_ref(), weight_gradient.as_ref(), bias_gradient.as_ref());
        attach(&mut loss, [(hidden, h), (linear.weight, w), (linear.bias.unwrap_or(linear.weight), b)])?;
    }
    Ok(loss)
}

/// Ranges of labels that leave out long runs of labels that nobody observed.
fn observed(labels: &Labels) -> Result<Vec<Range<i64>>> {
    let counts = Vec::<i64>::try_from(&labels.observed_per_label()?)?;
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for label in (0..).zip(counts).filter(|(_, count)| *count > 0).map(|(label, _)| label) {
        match ranges.last_mut() {
            Some(last) if label - last.end < RUN => last.end = label + 1,
            _ => ranges.push(label..label + 1),
        }
    }
    Ok(ranges)
}

/// The start and the length of each part of a range.
fn parts(range: Range<i64>, step: i64) -> impl Iterator<Item = (i64, i64)> {
    range.clone().step_by(step as usize).map(move |start| (start, step.min(range.end - start)))
}
