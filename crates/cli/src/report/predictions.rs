//! Probabilities in files.

use std::path::Path;

use anyhow::Result;
use npyz::npz::NpzWriter;
use npyz::{DType, WriterBuilder};
use tch::{Kind, Tensor};

/// A cell is empty where the network gives no probability. `rows`: the numbers of the rows in the table, for a first column
/// named `row`, with `_` at its end where a label has that name.
pub fn write_csv(path: &Path, rows: Option<&[i64]>, probabilities: &Tensor, labels: &[String]) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    let mut row = "row".to_owned();
    while labels.contains(&row) {
        row.push('_');
    }
    writer.write_record(rows.map(|_| &row).into_iter().chain(labels))?;
    for (position, row) in probabilities.to_kind(Kind::Float).split(1, 0).iter().enumerate() {
        writer.serialize((rows.map(|rows| rows[position]).as_slice(), known(row)?))?;
    }
    Ok(writer.flush()?)
}

/// None for NaN.
fn known(row: &Tensor) -> Result<Vec<Option<f32>>> {
    let probabilities = Vec::<f32>::try_from(row.reshape([-1]))?;
    Ok(probabilities.into_iter().map(|probability| (!probability.is_nan()).then_some(probability)).collect())
}

/// The arrays P and labels.
pub fn write_npz(path: &Path, probabilities: &Tensor, labels: &[String]) -> Result<()> {
    let mut archive = NpzWriter::create(path)?;
    let shape: Vec<u64> = probabilities.size().into_iter().map(|length| length as u64).collect();
    let numbers = Vec::<f32>::try_from(probabilities.reshape([-1]))?;
    let mut array = archive.array("P", Default::default())?.default_dtype().shape(&shape).begin_nd()?;
    array.extend(numbers)?;
    array.finish()?;
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
