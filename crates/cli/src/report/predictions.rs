//! Probabilities in files.

use std::path::Path;

use anyhow::Result;
use npyz::npz::NpzWriter;
use npyz::{DType, WriterBuilder};
use tch::Tensor;

use crate::run::predict::Part;

/// Writes all labels, one line for each row of the table. A cell is empty if its probability is NaN. With `numbered`,
/// the first column holds the row numbers in the table. Its name is `row`, with `_` appended while a label has that
/// name. Returns the number of empty cells.
pub fn write_csv<'a>(
    path: &Path,
    numbered: bool,
    labels: &[String],
    parts: impl Iterator<Item = Result<Part<'a>>>,
) -> Result<u64> {
    let (mut writer, mut empty) = (csv::Writer::from_path(path)?, 0);
    let mut row = "row".to_owned();
    while labels.contains(&row) {
        row.push('_');
    }
    writer.write_record(numbered.then_some(&row).into_iter().chain(labels))?;
    for part in parts {
        let part = part?;
        let cells = numbers(&part.probabilities())?;
        for (row, cells) in part.rows.iter().zip(cells.chunks(labels.len())) {
            let cells: Vec<_> = cells.iter().map(|cell| (!cell.is_nan()).then_some(cell)).collect();
            empty += cells.iter().filter(|cell| cell.is_none()).count() as u64;
            writer.serialize((numbered.then_some(row).as_slice(), cells))?;
        }
    }
    writer.flush()?;
    Ok(empty)
}

/// Writes the labels with the highest probabilities, one per line, the highest first. Omits logits of −∞; NaN counts as
/// one.
pub fn write_top_csv<'a>(path: &Path, labels: &[String], parts: impl Iterator<Item = Result<Part<'a>>>) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["row", "label", "probability"])?;
    for part in parts {
        let part = part?;
        let (places, cells) = (places(&part)?, numbers(&part.probabilities())?);
        let (known, width) =
            (Vec::<bool>::try_from(part.logits.isneginf().logical_not().reshape([-1]))?, cells.len() / part.rows.len());
        for (place, (label, cell)) in places.into_iter().zip(cells).enumerate().filter(|(place, _)| known[*place]) {
            writer.serialize((part.rows[place / width], &labels[label as usize], cell))?;
        }
    }
    Ok(writer.flush()?)
}

/// Writes the arrays P (of this `size`) and labels; with `top`, also the array top, the label of each number in P.
pub fn write_npz<'a>(
    path: &Path,
    size: [usize; 2],
    top: bool,
    labels: &[String],
    parts: impl Iterator<Item = Result<Part<'a>>>,
) -> Result<()> {
    let shape = size.map(|length| length as u64);
    let mut archive = NpzWriter::create(path)?;
    let mut chosen = Vec::new();
    let mut array = archive.array("P", Default::default())?.default_dtype().shape(&shape).begin_nd()?;
    for part in parts {
        let part = part?;
        array.extend(numbers(&part.probabilities())?)?;
        if top {
            chosen.extend(places(&part)?);
        }
    }
    array.finish()?;
    if top {
        let mut array = archive.array("top", Default::default())?.default_dtype().shape(&shape).begin_nd()?;
        array.extend(chosen)?;
        array.finish()?;
    }
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(1);
    let dtype = DType::Plain(format!("<U{width}").parse()?);
    let mut array =
        archive.array("labels", Default::default())?.dtype(dtype).shape(&[labels.len() as u64]).begin_nd()?;
    for label in labels {
        array.push(label.as_str())?;
    }
    array.finish()?;
    Ok(())
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::try_from(tensor.reshape([-1]))?)
}

/// The labels of a part's numbers.
fn places(part: &Part<'_>) -> Result<Vec<i64>> {
    part.labels.as_ref().map_or_else(|| Ok(Vec::new()), |labels| Ok(Vec::try_from(labels.reshape([-1]))?))
}
