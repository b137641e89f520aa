//! CSV with a header, plain or gzipped.

use std::io::Read;

use anyhow::{Context, Error, Result, anyhow, ensure};
use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};
use flate2::read::MultiGzDecoder;
use masked_loss::Labels;
use tch::Tensor;

use super::bits::Bits;
use super::cell;
use super::columns::Roles;
use super::decode::{Decoder, EXACT};
use super::features::{Block, Features};
use super::file;
use super::lines::{EMPTY, Lines};
use super::raw::Raw;
use crate::cli::source::Source;

pub fn read(source: &Source) -> Result<Raw> {
    let file = file::open(&source.data)?;
    let zipped = source.data.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let input: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // Flexible, so that a row of the wrong width is reported in our own words.
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(Lines::new(input));
    let header: Vec<String> =
        reader.headers().map_err(|error| explain(error, "the header"))?.iter().map(String::from).collect();
    ensure!(!header.is_empty(), "it is empty where a header was expected");
    let is_text = header.iter().all(|name| !name.contains('\0'));
    ensure!(is_text, "its header has bytes of value 0: text in UTF-16 must be saved as UTF-8");
    let roles = Roles::new(&header, &[], source)?;

    let header = &roles.names;
    let names = |columns: &[usize]| columns.iter().map(|&column| header[column].clone()).collect::<Vec<_>>();
    let label_names = names(&roles.labels);
    let mut decoder = Decoder::new(source, &label_names);
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    let (mut split, mut group) = (Vec::new(), Vec::new());
    let mut bits: Vec<_> = roles.bits.iter().map(|&column| Bits::new(&header[column])).collect();
    let mut record = StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).map_err(|error| explain(error, &format!("data row {}", rows + 1)))? {
        if header.len() > 1 && record.len() == 1 && &record[0] == EMPTY {
            continue;
        }
        rows += 1;
        let line = record.position().map_or(0, Position::line);
        let mut take = || -> Result<()> {
            let (found, expected) = (record.len(), header.len());
            ensure!(
                found == expected,
                "data row {rows} has {found} cells where the header has {expected}{}",
                match found == expected + 1 {
                    true if record[expected].is_empty() => ": a comma ends the line",
                    true if rows == 1 => ": R writes no name for the names of rows, row.names = FALSE leaves them out",
                    _ => "",
                }
            );
            for &column in &roles.features {
                features.push(cell::number(&record[column], rows, &header[column])?);
            }
            for (place, &column) in roles.labels.iter().enumerate() {
                let found = cell::number(&record[column], rows, &header[column])?;
                labels.push(decoder.label(found, EXACT, rows, place)?);
            }
            for (bits, &column) in bits.iter_mut().zip(&roles.bits) {
                bits.push(&record[column])?;
            }
            split.extend(roles.split.map(|column| record[column].to_owned()));
            group.extend(roles.group.map(|column| record[column].to_owned()));
            Ok(())
        };
        take().with_context(|| format!("line {line}"))?;
    }
    let matrix = |cells: &[f32], columns: &[usize]| Tensor::from_slice(cells).view([rows, columns.len() as i64]);
    let dense = (!features.is_empty() || bits.is_empty()).then(|| Block::Dense(matrix(&features, &roles.features)));
    let blocks = dense.into_iter().chain(bits.iter().map(Bits::block)).collect();
    let feature_names = names(&roles.features).into_iter().chain(bits.iter().flat_map(Bits::names)).collect();
    Ok(Raw {
        rows,
        features: source.has_features().then(|| Features::new(blocks, Some(feature_names))),
        labels: source.has_labels().then(|| Labels::from_nan(&matrix(&labels, &roles.labels))).transpose()?,
        notes: roles.notes.into_iter().chain(decoder.notes()).collect(),
        label_names,
        numbered: false,
        split: roles.split.map(|_| split),
        group: roles.group.map(|_| group),
    })
}

/// Of the csv crate's errors, what its own words leave unclear.
fn explain(error: csv::Error, what: &str) -> Error {
    match error.kind() {
        ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(1, Position::line);
            anyhow!("line {line}: {what} is not text in UTF-8")
        }
        _ => error.into(),
    }
}
