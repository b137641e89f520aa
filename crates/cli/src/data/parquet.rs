//! Parquet. Besides the table itself, one batch of some columns is in memory.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use tch::{Kind, Tensor};

use super::bits::Bits;
use super::columns::Roles;
use super::features::{Block, Features, chunk, first_true};
use super::file;
use super::raw::Raw;
use crate::cli::source::Source;
use crate::input;

/// How many columns are read at a time: each has its own page in memory.
const COLUMNS: usize = 64;

pub fn read(source: &Source) -> Result<Raw> {
    let table = ColumnFile::open(&source.data)?;
    let header: Vec<String> = table.metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
    let roles = Roles::new(&header, source)?;
    let widths: Vec<i64> = roles.features.iter().map(|&column| table.width(column)).collect::<Result<_>>()?;
    let offset = |place: usize| widths[..place].iter().sum::<i64>();
    let bytes =
        roles.features.iter().all(|&column| matches!(table.element(column), DataType::Boolean | DataType::UInt8));
    let kind = if bytes { Kind::Uint8 } else { Kind::Float };
    let (rows, device) = (table.rows(), tch::Device::Cpu);
    let features = Tensor::f_empty([rows, widths.iter().sum()], (kind, device))?;
    let labels = Tensor::f_empty([rows, roles.labels.len() as i64], (Kind::Float, device))?;
    let mut bits: Vec<_> = roles.bits.iter().map(|&column| Bits::new(&header[column])).collect();
    let [mut split, mut group] = [roles.split, roles.group].map(|column| column.map(|_| Vec::new()));

    let wanted = roles.all();
    let bar = file::bar(rows as u64 * wanted.len().div_ceil(COLUMNS) as u64, "");
    for columns in wanted.chunks(COLUMNS) {
        let mut start = 0;
        for batch in table.batches(columns)? {
            let batch = batch?;
            let count = batch.num_rows() as i64;
            for (&column, array) in columns.iter().zip(batch.columns()) {
                let name = &header[column];
                let into = |cells: &Tensor, from: i64, width: i64| -> Result<()> {
                    let mut cells = cells.narrow(0, start, count).narrow(1, from, width);
                    let numbers = numbers(array, width).with_context(|| format!("column {name:?}"))?;
                    if let (Kind::Uint8, Some((row, _))) = (cells.kind(), first_true(&numbers.isnan())) {
                        let row = start + row + 1;
                        bail!("feature {name:?} is NaN in data row {row}: only labels may be missing");
                    }
                    cells.f_copy_(&numbers)?;
                    Ok(())
                };
                if let Some(place) = roles.features.iter().position(|&feature| feature == column) {
                    into(&features, offset(place), widths[place])?;
                }
                if let Some(place) = roles.labels.iter().position(|&label| label == column) {
                    into(&labels, place as i64, 1)?;
                }
                if let Some(place) = roles.bits.iter().position(|&column_of_bits| column_of_bits == column) {
                    let texts = words(array).with_context(|| format!("column {name:?}"))?;
                    texts.iter().try_for_each(|text| bits[place].push(text))?;
                }
                for (role, into) in [(roles.split, &mut split), (roles.group, &mut group)] {
                    if let (true, Some(into)) = (role == Some(column), into) {
                        into.extend(words(array).with_context(|| format!("column {name:?}"))?);
                    }
                }
            }
            bar.inc(count as u64);
            start += count;
        }
    }
    let named = |(&column, &width): (&usize, &i64)| match (table.schema(column), &header[column]) {
        (DataType::List(_) | DataType::FixedSizeList(..), name) => (0..width).map(|i| format!("{name}[{i}]")).collect(),
        (_, name) => vec![name.clone()],
    };
    let names = roles.features.iter().zip(&widths).flat_map(named).chain(bits.iter().flat_map(Bits::names)).collect();
    let dense = (features.size()[1] > 0 || bits.is_empty()).then_some(Block::Dense(features));
    let blocks = dense.into_iter().chain(bits.iter().map(Bits::block)).collect();
    Ok(Raw {
        rows,
        features: source.has_features().then(|| Features::new(blocks, Some(names))),
        labels: source.has_labels().then_some(labels),
        label_names: roles.labels.iter().map(|&column| header[column].clone()).collect(),
        split,
        group,
    })
}

struct ColumnFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ColumnFile {
    fn open(path: &Path) -> Result<Self> {
        let file = input::open(path)?;
        Ok(Self { metadata: ArrowReaderMetadata::load(&file, Default::default())?, file })
    }

    fn rows(&self) -> i64 {
        self.metadata.metadata().file_metadata().num_rows()
    }

    fn schema(&self, column: usize) -> &DataType {
        self.metadata.schema().field(column).data_type()
    }

    /// The type of a column's numbers.
    fn element(&self, column: usize) -> &DataType {
        match self.schema(column) {
            DataType::List(field) | DataType::FixedSizeList(field, _) => field.data_type(),
            other => other,
        }
    }

    /// The number of features in a column.
    fn width(&self, column: usize) -> Result<i64> {
        Ok(match self.schema(column) {
            DataType::FixedSizeList(_, width) => i64::from(*width),
            // The length of the first row.
            DataType::List(_) => match self.batches(&[column])?.next().transpose()? {
                Some(batch) => batch.column(0).as_list::<i32>().value_length(0).into(),
                None => 0,
            },
            _ => 1,
        })
    }

    /// Some columns, in the table's order.
    fn batches(
        &self,
        columns: &[usize],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, arrow_schema::ArrowError>>> {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone());
        let mask =
            ProjectionMask::roots(self.metadata.metadata().file_metadata().schema_descr(), columns.iter().copied());
        Ok(reader.with_projection(mask).with_batch_size(chunk(COLUMNS as i64) as usize / 8).build()?)
    }
}

/// `[rows, width]`, `f32`, NaN where there is not a number.
fn numbers(column: &ArrayRef, width: i64) -> Result<Tensor> {
    let values = match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().values().clone(),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            if let Some(row) = (0..lists.len()).find(|&row| i64::from(lists.value_length(row)) != width) {
                bail!("a row has {} numbers where the first has {width}", lists.value_length(row));
            }
            let offsets = lists.value_offsets();
            let (start, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
            lists.values().slice(start, end - start)
        }
        _ => column.clone(),
    };
    let is_list = matches!(column.data_type(), DataType::List(_) | DataType::FixedSizeList(..));
    ensure!(!(is_list && column.null_count() > 0), "a row is null where a list was expected");
    let of = values.data_type();
    ensure!(
        of.is_numeric() || *of == DataType::Boolean,
        "it holds {of}, which is not a number; --ignore leaves it out"
    );
    let values = cast(&values, &DataType::Float32)?;
    let values = values.as_primitive::<Float32Type>();
    let cells = match values.null_count() {
        0 => Tensor::from_slice(values.values()),
        _ => Tensor::from_slice(&values.iter().map(|value| value.unwrap_or(f32::NAN)).collect::<Vec<_>>()),
    };
    Ok(cells.f_view([column.len() as i64, width])?)
}

/// Empty where there is none; so is NaN, which pandas writes in a column of numbers.
fn words(column: &ArrayRef) -> Result<Vec<String>> {
    let text = cast(column, &DataType::Utf8)?;
    let is_nan = |word: &&str| column.data_type().is_floating() && *word == "NaN";
    let words = text.as_string::<i32>().iter().map(|word| word.filter(|word| !is_nan(word)).unwrap_or_default());
    Ok(words.map(str::to_owned).collect())
}
