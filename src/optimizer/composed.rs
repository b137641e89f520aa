//! An update step of tensors on any device.

use masked_loss_core::{Moments, Step};
use tch::Tensor;

use crate::Result;

/// In place: allocating memory for every weight costs more than the arithmetic.
pub(super) fn step(
    step: &Step,
    weight: &mut Tensor,
    first: &mut Tensor,
    second: Option<&mut Tensor>,
    gradient: &Tensor,
) -> Result<()> {
    let decayed = |weight: &Tensor, decay: f64| match decay == 0.0 {
        true => Ok(gradient.shallow_clone()),
        false => gradient.f_add(&weight.f_mul_scalar(decay)?),
    };
    match (step, second) {
        (Step::Moments(moments), Some(second)) => {
            let Moments { shrink, decay, gains, rate, scale, epsilon, .. } = *moments;
            if shrink != 1.0 {
                let _ = weight.f_mul_scalar_(shrink)?;
            }
            let gradient = decayed(weight, decay)?;
            let _ = first.f_lerp_(&gradient, gains[0])?;
            let _ = second.f_lerp_(&gradient.f_square()?, gains[1])?;
            let mut size = second.f_sqrt()?;
            let _ = size.f_mul_scalar_(-scale / rate)?.f_add_scalar_(-epsilon / rate)?;
            let _ = weight.f_addcdiv_(&*first, &size)?;
        }
        (Step::Momentum { momentum, rate, decay }, _) => {
            let gradient = decayed(weight, *decay)?;
            let _ = first.f_mul_scalar_(*momentum)?.f_add_(&gradient)?;
            let _ = weight.f_sub_(&first.f_mul_scalar(*rate)?)?;
        }
        (Step::Moments(_), None) => unreachable!("every Adam has a second moment"),
    }
    Ok(())
}
