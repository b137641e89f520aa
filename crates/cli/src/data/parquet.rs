//! Parquet. Memory holds the table itself and one batch of some columns.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use arrow_schema::DataType;
use masked_loss::Labels;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::arrow::{self, Column};
use super::bits::Bits;
use super::columns::Roles;
use super::decode::Decoder;
use super::features::{Block, Features, chunk};
use super::file;
use super::raw::Raw;
use crate::cli::source::Source;
use crate::input;

/// Columns read at a time: each has its own page in memory.
const COLUMNS: usize = 64;

pub fn read(source: &Source) -> Result<Raw> {
    let table = ColumnFile::open(&source.data)?;
    let roles = Roles::new(&table.header(), &table.index_columns(), source)?;
    let header = &roles.names;
    let widths: Vec<i64> = roles.features.iter().map(|&column| table.width(column)).collect::<Result<_>>()?;
    let offset = |place: usize| widths[..place].iter().sum::<i64>();
    let is_byte = |&column: &usize| matches!(arrow::element(table.schema(column)), DataType::Boolean | DataType::UInt8);
    let kind = if roles.features.iter().all(is_byte) { Kind::Uint8 } else { Kind::Float };
    let (rows, device) = (table.rows(), tch::Device::Cpu);
    let features = Tensor::f_empty([rows, widths.iter().sum()], (kind, device))?;
    let labels = Tensor::f_empty([rows, roles.labels.len() as i64], (Kind::Float, device))?;
    let label_names: Vec<String> = roles.labels.iter().map(|&column| header[column].clone()).collect();
    let mut decoder = Decoder::new(source, &label_names);
    let mut bits: Vec<_> = roles.bits.iter().map(|&column| Bits::new(&header[column])).collect();
    let [mut split, mut group] = [roles.split, roles.group].map(|column| column.map(|_| Vec::new()));

    let wanted = roles.all();
    let bar = file::bar(rows as u64 * wanted.len().div_ceil(COLUMNS) as u64, "");
    for columns in wanted.chunks(COLUMNS) {
        let mut before = 0;
        for batch in table.batches(columns)? {
            let batch = batch?;
            let count = batch.num_rows() as i64;
            for (&column, cells) in columns.iter().zip(batch.columns()) {
                let array = Column { name: &header[column], cells, before };
                let into = |table: &Tensor, from: i64, width: i64, cells: &[f32]| -> Result<()> {
                    let mut part = table.f_narrow(0, before, count)?.f_narrow(1, from, width)?;
                    Ok(part.f_copy_(&Tensor::f_from_slice(cells)?.f_view([count, width])?)?)
                };
                if let Some(place) = roles.features.iter().position(|&feature| feature == column) {
                    let (width, numbers) = (widths[place], array.features(widths[place])?);
                    // Bytes have no NaN.
                    if let (Kind::Uint8, Some(nan)) = (kind, numbers.iter().position(|number| number.is_nan())) {
                        let (row, cell) = (before + nan as i64 / width + 1, nan as i64 % width);
                        let name = &table.names(column, &header[column], width)[cell as usize];
                        bail!("feature {name:?} is NaN in data row {row}: {}", super::columns::MISSING);
                    }
                    into(&features, offset(place), width, &numbers)?;
                }
                if let Some(place) = roles.labels.iter().position(|&label| label == column) {
                    let rounding = arrow::rounding(table.schema(column));
                    let label = |(found, row)| decoder.label(found, rounding, row, place);
                    let cells = array.labels()?.into_iter().zip(before + 1..).map(label).collect::<Result<Vec<_>>>()?;
                    into(&labels, place as i64, 1, &cells)?;
                }
                if let Some(place) = roles.bits.iter().position(|&column_of_bits| column_of_bits == column) {
                    array.words()?.iter().try_for_each(|text| bits[place].push(text))?;
                }
                for (role, into) in [(roles.split, &mut split), (roles.group, &mut group)] {
                    if let (true, Some(into)) = (role == Some(column), into) {
                        into.extend(array.words()?);
                    }
                }
            }
            bar.inc(count as u64);
            before += count;
        }
    }
    let named = |(&column, &width): (&usize, &i64)| table.names(column, &header[column], width);
    let names = roles.features.iter().zip(&widths).flat_map(named).chain(bits.iter().flat_map(Bits::names)).collect();
    let dense = (features.size()[1] > 0 || bits.is_empty()).then_some(Block::Dense(features));
    let blocks = dense.into_iter().chain(bits.iter().map(Bits::block)).collect();
    Ok(Raw {
        rows,
        features: source.has_features().then(|| Features::new(blocks, Some(names))),
        labels: source.has_labels().then(|| Labels::from_nan(&labels)).transpose()?,
        notes: roles.notes.into_iter().chain(decoder.notes()).collect(),
        label_names,
        numbered: false,
        split,
        group,
    })
}

pub struct ColumnFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ColumnFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = input::open(path)?;
        // A writer may name Arrow types that this reader does not know; then Parquet's own types are used.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, Default::default());
        Ok(Self { metadata: metadata.or_else(|_| ArrowReaderMetadata::load(&file, plain))?, file })
    }

    pub fn header(&self) -> Vec<String> {
        self.metadata.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn rows(&self) -> i64 {
        self.metadata.metadata().file_metadata().num_rows()
    }

    /// The columns that pandas made from its index, according to the file's metadata; a range has none.
    fn index_columns(&self) -> Vec<String> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata();
        let pandas =
            pairs.into_iter().flatten().find(|pair| pair.key == "pandas").and_then(|pair| pair.value.as_deref());
        let pandas = pandas.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let columns = pandas.as_ref().and_then(|pandas| pandas["index_columns"].as_array());
        columns.into_iter().flatten().filter_map(|column| column.as_str().map(str::to_owned)).collect()
    }

    pub fn schema(&self, column: usize) -> &DataType {
        self.metadata.schema().field(column).data_type()
    }

    /// The number of features in a column.
    fn width(&self, column: usize) -> Result<i64> {
        Ok(match self.schema(column) {
            DataType::FixedSizeList(_, width) => i64::from(*width),
            // The length of the first row.
            list if list.is_list() => match self.batches(&[column])?.next().transpose()? {
                Some(batch) => arrow::first_length(batch.column(0))?,
                None => 0,
            },
            _ => 1,
        })
    }

    /// The names of a column's features.
    fn names(&self, column: usize, name: &str, width: i64) -> Vec<String> {
        match self.schema(column).is_list() {
            true => (0..width).map(|place| format!("{name}[{place}]")).collect(),
            false => vec![name.to_owned()],
        }
    }

    /// Some columns, in the table's order.
    pub fn batches(
        &self,
        columns: &[usize],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, arrow_schema::ArrowError>>> {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone());
        let mask =
            ProjectionMask::roots(self.metadata.metadata().file_metadata().schema_descr(), columns.iter().copied());
        Ok(reader.with_projection(mask).with_batch_size(chunk(COLUMNS as i64) as usize / 8).build()?)
    }
}
