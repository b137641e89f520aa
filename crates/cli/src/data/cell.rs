//! Single cells.

use std::str::FromStr;

use anyhow::{Context, Result};

/// Words that programs write for a missing cell, in lower case.
const MISSING: [&str; 9] = ["", "?", "na", "nan", "n/a", "#n/a", "<na>", "null", "none"];

/// Whether a cell is missing.
pub fn is_missing(cell: &str) -> bool {
    MISSING.into_iter().any(|word| cell.trim().eq_ignore_ascii_case(word))
}

/// The number that a cell of text holds, 1 and 0 for true and false; NaN if it is missing.
pub fn number<T: FromStr + From<f32>>(cell: &str, row: i64, column: &str) -> Result<T> {
    let cell = cell.trim();
    let is = |word: &str| cell.eq_ignore_ascii_case(word);
    let word = || match () {
        _ if is_missing(cell) => Some(f32::NAN.into()),
        _ if is("true") => Some(1.0.into()),
        _ if is("false") => Some(0.0.into()),
        _ => None,
    };
    cell.parse().ok().or_else(word).with_context(|| {
        format!("{cell:?} in data row {row}, column {column:?} is not a number; --ignore leaves the column out")
    })
}

/// A number as the name of a group or a part: 1.0 is 1, and NaN, which pandas writes for a missing name, is empty.
pub fn word(number: f64) -> String {
    // -0.0 becomes 0.
    if number.is_nan() { String::new() } else { (number + 0.0).to_string() }
}
