//! Checks of tensors: every input is checked before libtorch receives it.

use tch::{Device, Kind, Tensor};

use crate::native::is_strided;
use crate::{Error, Result};

/// A defined, strided tensor of real numbers.
pub(crate) fn dense(name: &'static str, tensor: &Tensor) -> Result<()> {
    let fault = |found: String| {
        let expected = "a dense tensor of real numbers".into();
        Err(Error::Kind { argument: name, expected, found })
    };
    if !tensor.defined() {
        return fault("an undefined tensor".into());
    }
    if !is_strided(tensor) {
        return fault("a sparse or a library's own layout".into());
    }
    use Kind::{BFloat16, Bool, Double, Float, Half, Int, Int8, Int16, Int64, Uint8};
    match tensor.f_kind() {
        Ok(Double | Float | Half | BFloat16 | Bool | Uint8 | Int8 | Int16 | Int | Int64) => Ok(()),
        Ok(kind) => fault(format!("{kind:?}")),
        Err(unknown) => fault(unknown.to_string()),
    }
}

/// The given shape and device.
pub(crate) fn like(name: &'static str, tensor: &Tensor, size: &[i64], device: Device) -> Result<()> {
    if tensor.size() != size {
        return Err(Error::shape(name, size, tensor.size()));
    }
    if tensor.device() != device {
        return Err(Error::Device { argument: name, expected: device, found: tensor.device() });
    }
    Ok(())
}

/// A vector of integers.
pub(crate) fn index(name: &'static str, tensor: &Tensor, device: Device) -> Result<()> {
    dense(name, tensor)?;
    if tensor.dim() != 1 {
        return Err(Error::Shape { argument: name, expected: "[n]".into(), found: tensor.size() });
    }
    like(name, tensor, &tensor.size(), device)?;
    match tensor.f_kind()? {
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 => Ok(()),
        kind => Err(Error::Kind { argument: name, expected: "integers".into(), found: format!("{kind:?}") }),
    }
}

/// The elements of a vector of integers on the CPU.
pub(crate) fn integers(name: &'static str, tensor: &Tensor) -> Result<Vec<i64>> {
    index(name, tensor, Device::Cpu)?;
    Ok(Vec::try_from(&tensor.f_to_kind(Kind::Int64)?)?)
}

/// Numbers from 0 up to `end`.
pub(crate) fn within(name: &'static str, numbers: &[i64], end: i64) -> Result<()> {
    match numbers.iter().find(|number| !(0..end).contains(*number)) {
        Some(&found) => Err(outside(name, format!("numbers within 0..{end}"), found)),
        None => Ok(()),
    }
}

pub(crate) fn outside(argument: &'static str, expected: String, found: i64) -> Error {
    Error::Range { argument, expected, found: found as f64 }
}

/// The first value of `tensor` where `at` is true.
pub(crate) fn first(tensor: &Tensor, at: &Tensor) -> Result<Option<f64>> {
    if at.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(None);
    }
    Ok(Some(tensor.f_masked_select(at)?.f_double_value(&[0])?))
}

/// A setting that has one finite number for each label or class.
pub(crate) fn numbers(name: &'static str, numbers: &[f64], count: i64) -> Result<()> {
    if numbers.len() as i64 != count {
        return Err(Error::shape(name, [count], vec![numbers.len() as i64]));
    }
    match numbers.iter().find(|number| !number.is_finite()) {
        Some(&found) => Err(Error::Range { argument: name, expected: "finite numbers".into(), found }),
        None => Ok(()),
    }
}

/// A dense floating-point tensor.
pub(crate) fn floating(name: &'static str, tensor: &Tensor) -> Result<()> {
    dense(name, tensor)?;
    match tensor.f_kind()? {
        Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16 => Ok(()),
        kind => {
            let expected = "f64, f32, f16 or bf16".into();
            Err(Error::Kind { argument: name, expected, found: format!("{kind:?}") })
        }
    }
}
