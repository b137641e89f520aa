//! The one door: every input is held against what the computation expects before libtorch sees it.

use std::ops::RangeInclusive;

use tch::{Device, Kind, Tensor};

use crate::formula::{Assumed, Entries, Formula};
use crate::{Error, Labels, Result, fused};

/// A defined, strided tensor of real numbers.
pub(crate) fn dense(name: &'static str, tensor: &Tensor) -> Result<()> {
    let fault = |found: String| Err(Error::Kind { tensor: name, expected: "a dense tensor of real numbers", found });
    if !tensor.defined() {
        return fault("an undefined tensor".into());
    }
    if !fused::is_strided(tensor) {
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
        return Err(Error::Device { tensor: name, expected: device, found: tensor.device() });
    }
    Ok(())
}

/// The first value of `tensor` where `at` is true.
pub(crate) fn first(tensor: &Tensor, at: &Tensor) -> Result<Option<f64>> {
    if at.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(None);
    }
    Ok(Some(tensor.f_masked_select(at)?.f_double_value(&[0])?))
}

/// All that a loss asks of its input, its labels and its parameter, but for the input's values.
pub(crate) fn labelled(entries: Entries<'_>, input: &Tensor, labels: &Labels) -> Result<()> {
    fit(entries, input, &labels.size(), labels.device())?;
    let known = labels.range().map_or(vec![], |(least, largest)| vec![least, largest]);
    within("labels", entries.observed, &known)
}

/// The same, but for the values of input and labels, which have this size and device.
pub(crate) fn fit(entries: Entries<'_>, input: &Tensor, size: &[i64], device: Device) -> Result<()> {
    entries.formulas().try_for_each(Formula::validate)?;
    let name = name(entries);
    floating(name, input)?;
    like(name, input, size, device)?;
    if let Some(Assumed { formula, label, weight }) = entries.missing {
        within("the label assumed where one is missing", formula, &[label])?;
        setting("the weight of a missing entry", weight, f64::MIN..=f64::MAX)?;
    }
    let columns = *size.last().unwrap_or(&0);
    let mut parameters = entries.formulas().filter_map(Formula::parameter);
    parameters.try_for_each(|parameter| numbers("the loss's per-label parameter", parameter, columns))
}

/// That every input that counts is one that its formula accepts.
pub(crate) fn inputs(entries: Entries<'_>, input: &Tensor, labels: &Labels) -> Result<()> {
    bounded(name(entries), entries.observed, input, || labels.observed())?;
    match entries.missing {
        Some(Assumed { formula, .. }) => bounded(name(entries), formula, input, || labels.missing()),
        None => Ok(()),
    }
}

fn name(entries: Entries<'_>) -> &'static str {
    if entries.observed.inputs() == REAL { "logits" } else { "probabilities" }
}

fn within(name: &'static str, formula: &dyn Formula, labels: &[f64]) -> Result<()> {
    let accepted = formula.labels();
    match labels.iter().find(|label| !accepted.contains(label)) {
        Some(&found) => Err(Error::Range { tensor: name, expected: interval(&accepted), found }),
        None => Ok(()),
    }
}

/// `counted` is a pass over all entries: not where any input will do.
fn bounded(
    name: &'static str,
    formula: &dyn Formula,
    input: &Tensor,
    counted: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let accepted = formula.inputs();
    if accepted == REAL {
        return Ok(());
    }
    let outside = input.f_lt(*accepted.start())?.f_logical_or(&input.f_gt(*accepted.end())?)?;
    match first(input, &outside.f_logical_and(&counted()?)?)? {
        Some(found) => Err(Error::Range { tensor: name, expected: interval(&accepted), found }),
        None => Ok(()),
    }
}

/// A setting that has one finite number for each label or class.
pub(crate) fn numbers(name: &'static str, numbers: &[f64], count: i64) -> Result<()> {
    if numbers.len() as i64 != count {
        return Err(Error::shape(name, [count], vec![numbers.len() as i64]));
    }
    match numbers.iter().find(|number| !number.is_finite()) {
        Some(&found) => Err(Error::Range { tensor: name, expected: "finite numbers".into(), found }),
        None => Ok(()),
    }
}

pub(crate) const REAL: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

pub(crate) fn floating(name: &'static str, tensor: &Tensor) -> Result<()> {
    dense(name, tensor)?;
    match tensor.f_kind()? {
        Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16 => Ok(()),
        kind => Err(Error::Kind { tensor: name, expected: "f64, f32, f16 or bf16", found: format!("{kind:?}") }),
    }
}

/// A loss's own setting.
pub(crate) fn setting(name: &'static str, found: f64, accepted: RangeInclusive<f64>) -> Result<()> {
    if accepted.contains(&found) {
        return Ok(());
    }
    let expected = format!("a number within [{:?}, {:?}]", accepted.start(), accepted.end());
    Err(Error::Range { tensor: name, expected, found })
}

fn interval(accepted: &RangeInclusive<f64>) -> String {
    format!("numbers within [{}, {}] where observed", accepted.start(), accepted.end())
}
