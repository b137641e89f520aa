//! CSV with a header, plain or gzipped.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};
use flate2::read::MultiGzDecoder;
use tch::Tensor;

use super::{Raw, columns};
use crate::args::Source;

/// Which column is what.
struct Roles {
    features: Vec<usize>,
    labels: Vec<usize>,
    split: Option<usize>,
}

impl Roles {
    fn new(header: &[String], source: &Source) -> Result<Self> {
        columns::distinct(header)?;
        ensure!(!source.labels.is_empty(), "a CSV needs --labels, the names of its label columns");
        let find = |name: &String| {
            header.iter().position(|column| column == name).with_context(|| columns::no_such(name, header))
        };
        let split = source.split.as_ref().map(find).transpose()?;
        let ignored = columns::select(header, &source.ignore)?;
        let mut labels = columns::select(header, &source.labels)?;
        labels.retain(|column| !ignored.contains(column) && split != Some(*column));
        let features = (0..header.len())
            .filter(|column| !ignored.contains(column) && !labels.contains(column) && split != Some(*column))
            .collect();
        Ok(Self { features, labels, split })
    }
}

pub fn read(source: &Source) -> Result<Raw> {
    let file = File::open(&source.data)?;
    let zipped = source.data.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let input: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // Flexible, so that a row of the wrong width is reported in our own words.
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(input);
    let header: Vec<String> = reader.headers()?.iter().map(String::from).collect();
    let roles = Roles::new(&header, source)?;

    let (mut features, mut labels, mut split) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record)? {
        rows += 1;
        let (found, expected) = (record.len(), header.len());
        ensure!(found == expected, "data row {rows} has {found} cells where the header has {expected}");
        let number = |column: usize| {
            parse(&record[column]).with_context(|| {
                format!("{:?} in data row {rows}, column {:?} is no number", &record[column], header[column])
            })
        };
        for &column in &roles.features {
            features.push(number(column)?);
        }
        for &column in &roles.labels {
            labels.push(number(column)?);
        }
        split.extend(roles.split.map(|column| record[column].to_owned()));
    }
    let matrix = |cells: &[f32], columns: &[usize]| Tensor::from_slice(cells).view([rows, columns.len() as i64]);
    let names = |columns: &[usize]| columns.iter().map(|&column| header[column].clone()).collect();
    Ok(Raw {
        features: matrix(&features, &roles.features),
        feature_names: names(&roles.features),
        labels: matrix(&labels, &roles.labels),
        label_names: names(&roles.labels),
        split: roles.split.map(|_| split),
    })
}

/// NaN where the cell says that the value is missing, `None` where it says nothing that is a number.
fn parse(cell: &str) -> Option<f32> {
    match cell {
        "" | "?" | "NA" => Some(f32::NAN),
        _ => cell.parse().ok(),
    }
}
