//! Turns labels as stored in a file into labels to train on.

use anyhow::{Result, ensure};
use masked_loss::Labels;
use npyz::half::{bf16, f16};
use tch::{Kind, Tensor};

use super::csr::Csr;
use super::features::chunk;
use crate::cli::source::Source;

/// Rounds to the number type of a file.
pub type Rounding = fn(f64) -> f64;

/// For `f64`, text, decimals and integers; an integer above 2^53 becomes the nearest `f64`.
pub const EXACT: Rounding = |number| number;
pub const SINGLE: Rounding = |number| f64::from(number as f32);
pub const HALF: Rounding = |number| f16::from_f64(number).to_f64();
pub const BRAIN: Rounding = |number| bf16::from_f64(number).to_f64();

fn rounding(kind: Kind) -> Rounding {
    match kind {
        Kind::Half => HALF,
        Kind::BFloat16 => BRAIN,
        Kind::Float => SINGLE,
        _ => EXACT,
    }
}

/// Checks labels in the number type of the file, applies the options, and only then rounds to `f32`.
pub struct Decoder<'a> {
    names: &'a [String],
    missing: Option<f64>,
    threshold: Option<f64>,
    /// Whether -1 is a negative.
    signed: bool,
    matched: bool,
    /// Whether any label is below the threshold, and whether any is not.
    sides: [bool; 2],
}

impl<'a> Decoder<'a> {
    /// For columns of these names.
    pub fn new(source: &Source, names: &'a [String]) -> Self {
        let Source { missing_value: missing, threshold, .. } = *source;
        Self { names, missing, threshold, signed: false, matched: false, sides: [false; 2] }
    }

    /// With -1 as a negative, unless an option says otherwise.
    pub fn signed(self) -> Self {
        let signed = self.threshold.is_none() && self.missing != Some(-1.0);
        Self { signed, ..self }
    }

    /// The label in a data row (from 1) and a column; NaN if it is missing.
    pub fn label(&mut self, found: f64, rounding: Rounding, row: i64, column: usize) -> Result<f32> {
        let name = &self.names[column];
        if found.is_nan() {
            return Ok(f32::NAN);
        }
        ensure!(
            found.is_finite(),
            "label {name:?} is {found} in data row {row}, which is not finite; a missing label is empty or NaN"
        );
        // Numbers that once were `f32` may be stored in a wider type.
        let is_missing = |missing: f64| [missing, rounding(missing), SINGLE(missing)].contains(&found);
        if self.missing.is_some_and(is_missing) {
            self.matched = true;
            return Ok(f32::NAN);
        }
        if let Some(threshold) = self.threshold {
            let is_positive = found >= rounding(threshold);
            self.sides[usize::from(is_positive)] = true;
            return Ok(f32::from(is_positive));
        }
        if self.signed && found == -1.0 {
            return Ok(0.0);
        }
        ensure!(
            (0.0..=1.0).contains(&found),
            "label {name:?} is {found} in data row {row}, outside [0, 1]: \
             --threshold makes labels binary, --missing-value names a number that means missing"
        );
        Ok(found as f32)
    }

    /// The labels of an array: `[N, C]`.
    pub fn array(&mut self, found: &Tensor) -> Result<Tensor> {
        let rounding = rounding(found.kind());
        let width = self.names.len();
        let labels = Tensor::f_empty(found.size(), (Kind::Float, found.device()))?;
        let mut row = 0;
        for part in found.split(chunk(width as i64), 0) {
            let cells = Vec::<f64>::try_from(part.to_kind(Kind::Double).flatten(0, -1))?;
            let label = |(place, cell)| self.label(cell, rounding, row + (place / width) as i64 + 1, place % width);
            let decoded = cells.into_iter().enumerate().map(label).collect::<Result<Vec<_>>>()?;
            let rows = part.size()[0];
            labels.f_narrow(0, row, rows)?.f_copy_(&Tensor::f_from_slice(&decoded)?.f_view_as(&part)?)?;
            row += rows;
        }
        Ok(labels)
    }

    /// The labels in these columns of a sparse matrix; entries that are not stored are missing.
    pub fn csr(&mut self, csr: &Csr, columns: &[usize]) -> Result<Labels> {
        csr.check_single()?;
        let mut places = vec![None; csr.width() as usize];
        columns.iter().enumerate().for_each(|(place, &column)| places[column] = Some(place));
        let [starts, found, values] = csr.parts();
        let rounding = rounding(values.kind());
        let starts = Vec::<i64>::try_from(starts)?;
        let found = Vec::<i64>::try_from(found.to_kind(Kind::Int64))?;
        let values = Vec::<f64>::try_from(values.to_kind(Kind::Double))?;
        let (mut rows, mut labels, mut decoded) = (Vec::new(), Vec::new(), Vec::new());
        for (row, ends) in (0..).zip(starts.windows(2)) {
            for entry in ends[0] as usize..ends[1] as usize {
                let Some(place) = places[found[entry] as usize] else { continue };
                let label = self.label(values[entry], rounding, row + 1, place)?;
                if !label.is_nan() {
                    rows.push(row);
                    labels.push(place as i64);
                    decoded.push(label);
                }
            }
        }
        let [rows, labels] = [rows, labels].map(|numbers| Tensor::from_slice(&numbers));
        Ok(Labels::from_entries(&rows, &labels, &Tensor::from_slice(&decoded), [csr.rows(), columns.len() as i64])?)
    }

    /// Notes on options without an effect.
    pub fn notes(&self) -> Vec<String> {
        let unmatched = self.missing.filter(|_| !self.matched);
        let unmatched = unmatched.map(|missing| format!("--missing-value {missing} matches no label"));
        let one_sided = self.threshold.filter(|_| self.sides[0] != self.sides[1]);
        let side = u8::from(self.sides[1]);
        let one_sided = one_sided.map(|threshold| format!("--threshold {threshold} makes every observed label {side}"));
        unmatched.into_iter().chain(one_sided).collect()
    }
}
