//! CSV with a header, plain or gzipped.

use std::io::Read;
use std::path::Path;

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

/// The rows of a file, one at a time.
pub struct Rows {
    reader: csv::Reader<Lines<Box<dyn Read>>>,
    pub header: Vec<String>,
    record: StringRecord,
    /// Number of rows read.
    pub count: i64,
}

impl Rows {
    pub fn open(path: &Path) -> Result<Self> {
        let file = file::open(path)?;
        let zipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let input: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        // Flexible, so that a row of the wrong width is reported in our own words.
        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(Lines::new(input));
        let header: Vec<String> =
            reader.headers().map_err(|error| explain(error, "the header"))?.iter().map(String::from).collect();
        ensure!(!header.is_empty(), "expected a header, found an empty file");
        let is_text = header.iter().all(|name| !name.contains('\0'));
        ensure!(is_text, "the header has bytes of value 0: save UTF-16 text as UTF-8");
        Ok(Self { reader, header, record: StringRecord::new(), count: 0 })
    }

    /// Passes the next row, with a cell for each column, to `take`; returns false after the last one.
    pub fn next(&mut self, take: impl FnOnce(i64, &StringRecord) -> Result<()>) -> Result<bool> {
        let Self { reader, header, record, count } = self;
        loop {
            if !reader.read_record(record).map_err(|error| explain(error, &format!("data row {}", *count + 1)))? {
                return Ok(false);
            }
            if header.len() == 1 || record.len() != 1 || &record[0] != EMPTY {
                break;
            }
        }
        *count += 1;
        let line = record.position().map_or(0, Position::line);
        let (found, expected) = (record.len(), header.len());
        let take = || -> Result<()> {
            ensure!(
                found == expected,
                "data row {count} has {found} cells where the header has {expected}{}",
                match found == expected + 1 {
                    true if record[expected].is_empty() => ": a comma ends the line",
                    true if *count == 1 => ": R writes row names without a column name, row.names = FALSE omits them",
                    _ => "",
                }
            );
            take(*count, record)
        };
        take().with_context(|| format!("line {line}"))?;
        Ok(true)
    }
}

pub fn read(source: &Source) -> Result<Raw> {
    let mut table = Rows::open(&source.data)?;
    let roles = Roles::new(&table.header, &[], source)?;

    let header = &roles.names;
    let names = |columns: &[usize]| columns.iter().map(|&column| header[column].clone()).collect::<Vec<_>>();
    let label_names = names(&roles.labels);
    let mut decoder = Decoder::new(source, &label_names);
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    let (mut split, mut group) = (Vec::new(), Vec::new());
    let mut bits: Vec<_> = roles.bits.iter().map(|&column| Bits::new(&header[column])).collect();
    while table.next(|row, record| {
        for &column in &roles.features {
            features.push(cell::number(&record[column], row, &header[column])?);
        }
        for (place, &column) in roles.labels.iter().enumerate() {
            let found = cell::number(&record[column], row, &header[column])?;
            labels.push(decoder.label(found, EXACT, row, place)?);
        }
        for (bits, &column) in bits.iter_mut().zip(&roles.bits) {
            bits.push(&record[column])?;
        }
        split.extend(roles.split.map(|column| record[column].to_owned()));
        group.extend(roles.group.map(|column| record[column].to_owned()));
        Ok(())
    })? {}
    let rows = table.count;
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

/// Rewords the errors of the csv crate that are unclear.
fn explain(error: csv::Error, what: &str) -> Error {
    match error.kind() {
        ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(1, Position::line);
            anyhow!("line {line}: {what} is not text in UTF-8")
        }
        _ => error.into(),
    }
}
