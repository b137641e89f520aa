//! Checks that a loss accepts its arguments.

use std::ops::RangeInclusive;

use masked_loss_core::losses::REAL;
use masked_loss_core::{Assumed, Entries, check_setting};
use tch::{Device, Tensor};

use crate::composed::TensorFormula;
use crate::{Error, Labels, Result, check};

/// Checks input, labels and settings, but not the input's values.
pub(crate) fn labelled(entries: Entries<'_, dyn TensorFormula + '_>, input: &Tensor, labels: &Labels) -> Result<()> {
    fit(entries, input, &labels.size(), labels.device())?;
    values(entries, labels)
}

fn values(entries: Entries<'_, dyn TensorFormula + '_>, labels: &Labels) -> Result<()> {
    labels.check_exact()?;
    let accepted = entries.observed.label_range();
    within("labels", &accepted, labels.outside(&accepted))
}

/// Checks the input and the settings for labels of this size and device, but not the values of input and labels.
pub(crate) fn fit(
    entries: Entries<'_, dyn TensorFormula + '_>,
    input: &Tensor,
    size: &[i64],
    device: Device,
) -> Result<()> {
    let name = name(entries.observed);
    settings(entries, *size.last().unwrap_or(&0))?;
    check::floating(name, input)?;
    check::like(name, input, size, device)
}

/// Checks the settings of a loss, for this number of labels.
fn settings(entries: Entries<'_, dyn TensorFormula + '_>, labels: i64) -> Result<()> {
    formulas(entries).try_for_each(|formula| formula.validate())?;
    if let Some(Assumed { formula, label, weight }) = entries.missing {
        if takes_probabilities(entries.observed) && !takes_probabilities(formula) {
            let [expected, found] = ["probabilities", "logits"].map(|input| format!("a policy for {input}"));
            return Err(Error::Text { argument: "missing".into(), expected, found });
        }
        check_setting("the label of a missing entry", label, formula.label_range())?;
        check_setting("the weight of a missing entry", weight, f64::MIN..=f64::MAX)?;
    }
    let mut parameters = formulas(entries).filter_map(|formula| formula.parameter());
    parameters.try_for_each(|(name, numbers)| check::numbers(name, numbers, labels))
}

/// Checks labels and settings.
pub(crate) fn labels(entries: Entries<'_, dyn TensorFormula + '_>, labels: &Labels) -> Result<()> {
    settings(entries, *labels.size().last().unwrap_or(&0))?;
    values(entries, labels)
}

/// The error for inputs that all count, at least one of which is outside the range for observed entries.
pub(crate) fn outside(entries: Entries<'_, dyn TensorFormula + '_>, input: &Tensor) -> Result<Error> {
    let accepted = entries.observed.input_range();
    let input = input.f_masked_select(&input.f_isnan()?.f_logical_not()?)?;
    if input.numel() == 0 {
        return Ok(outside_of(&accepted, name(entries.observed), f64::INFINITY));
    }
    let (least, largest) = (input.f_min()?.f_double_value(&[])?, input.f_max()?.f_double_value(&[])?);
    let found = if largest > *accepted.end() { largest } else { least };
    Ok(outside_of(&accepted, name(entries.observed), found))
}

/// Checks that the formulas accept every input that counts.
pub(crate) fn inputs(entries: Entries<'_, dyn TensorFormula + '_>, input: &Tensor, labels: &Labels) -> Result<()> {
    bounded(name(entries.observed), entries.observed, input, || labels.observed())?;
    match entries.missing {
        Some(Assumed { formula, .. }) => bounded(name(entries.observed), formula, input, || labels.missing()),
        None => Ok(()),
    }
}

fn takes_probabilities(formula: &(dyn TensorFormula + '_)) -> bool {
    *formula.input_range().start() >= 0.0 && *formula.input_range().end() <= 1.0
}

fn name(formula: &(dyn TensorFormula + '_)) -> &'static str {
    if formula.input_range() == REAL { "logits" } else { "probabilities" }
}

fn within(name: &'static str, accepted: &RangeInclusive<f64>, outside: Option<f64>) -> Result<()> {
    outside.map_or(Ok(()), |found| Err(outside_of(accepted, name, found)))
}

fn outside_of(accepted: &RangeInclusive<f64>, argument: &'static str, found: f64) -> Error {
    let expected = format!("numbers within [{}, {}] where observed", accepted.start(), accepted.end());
    Error::Range { argument, expected, found }
}

/// `counted` is a pass over all entries, so it is called only if the formula restricts its input.
fn bounded(
    name: &'static str,
    formula: &(dyn TensorFormula + '_),
    input: &Tensor,
    counted: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let accepted = formula.input_range();
    if accepted == REAL {
        return Ok(());
    }
    let outside = input.f_lt(*accepted.start())?.f_logical_or(&input.f_gt(*accepted.end())?)?;
    within(name, &accepted, check::first(input, &outside.f_logical_and(&counted()?)?)?)
}

fn formulas<'a>(entries: Entries<'a, dyn TensorFormula + 'a>) -> impl Iterator<Item = &'a (dyn TensorFormula + 'a)> {
    std::iter::once(entries.observed).chain(entries.missing.map(|assumed| assumed.formula))
}
