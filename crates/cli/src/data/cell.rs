//! Single cells.

use std::str::FromStr;

use anyhow::{Context, Result};

/// The number that a cell of text holds; NaN where it is missing.
pub fn number<T: FromStr + From<f32>>(cell: &str, row: i64, column: &str) -> Result<T> {
    match cell.trim() {
        "" | "?" | "NA" => Ok(f32::NAN.into()),
        cell => cell.parse().ok().with_context(|| {
            format!("{cell:?} in data row {row}, column {column:?} is not a number; --ignore leaves the column out")
        }),
    }
}

/// A number as the name of a group or a part: 1.0 is 1, and NaN, which pandas writes where there is none, is empty.
pub fn word(number: f64) -> String {
    // -0.0 becomes 0.
    if number.is_nan() { String::new() } else { (number + 0.0).to_string() }
}
