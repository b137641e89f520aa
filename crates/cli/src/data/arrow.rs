//! Arrow columns, read by their meaning, in any encoding.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, LargeListArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field};

use super::cell;
use super::decode::{EXACT, HALF, Rounding, SINGLE};

/// Some rows of a column.
pub struct Column<'a> {
    pub name: &'a str,
    pub cells: &'a ArrayRef,
    /// Number of rows before these.
    pub before: i64,
}

impl Column<'_> {
    /// A number for each cell, or `width` numbers for each list; NaN if missing.
    pub fn features(&self, width: i64) -> Result<Vec<f32>> {
        if self.cells.data_type().is_list() {
            self.numbers::<Float32Type>(&self.elements(width)?, width)
        } else {
            self.numbers::<Float32Type>(self.cells, 1)
        }
    }

    /// NaN if missing.
    pub fn labels(&self) -> Result<Vec<f64>> {
        self.numbers::<Float64Type>(self.cells, 1)
    }

    /// Empty if missing.
    pub fn words(&self) -> Result<Vec<String>> {
        let plain = plain(self.cells)?;
        let of = plain.data_type();
        if of.is_floating() {
            return Ok(self.labels()?.into_iter().map(cell::word).collect());
        }
        ensure!(
            of.is_primitive() || is_text(of) || matches!(of, DataType::Boolean | DataType::Null),
            "column {:?} holds {}, which are neither words nor numbers",
            self.name,
            plural(of)
        );
        // The text of a date would depend on a time zone.
        let plain = if of.is_temporal() { cast(&plain, &DataType::Int64)? } else { plain };
        Ok(texts(&plain)?.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The cells of lists, one list after another.
    fn elements(&self, width: i64) -> Result<ArrayRef> {
        let (lists, name) = (lists(self.cells)?, self.name);
        for (place, row) in (0..lists.len()).zip(self.before + 1..) {
            let found = lists.value_length(place);
            ensure!(lists.is_valid(place), "data row {row} of column {name:?}: expected a list, found null");
            ensure!(
                found == width,
                "data row {row} of column {name:?} has {found} numbers where the first has {width}"
            );
        }
        let offsets = lists.value_offsets();
        let (start, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
        Ok(lists.values().slice(start, end - start))
    }

    fn numbers<T: ArrowPrimitiveType>(&self, cells: &ArrayRef, width: i64) -> Result<Vec<T::Native>>
    where
        T::Native: FromStr + From<f32>,
    {
        let plain = plain(cells)?;
        let of = plain.data_type();
        if is_text(of) {
            let number = |(place, text): (i64, Option<String>)| {
                cell::number(&text.unwrap_or_default(), self.before + place / width + 1, self.name)
            };
            return (0..).zip(texts(&plain)?).map(number).collect();
        }
        ensure!(
            of.is_numeric() || matches!(of, DataType::Boolean | DataType::Null),
            "column {:?} holds {}, which are not numbers; --ignore leaves it out",
            self.name,
            plural(of)
        );
        let values = cast(&plain, &T::DATA_TYPE)?;
        let values = values.as_primitive::<T>();
        Ok(match values.null_count() {
            0 => values.values().to_vec(),
            _ => values.iter().map(|value| value.unwrap_or(f32::NAN.into())).collect(),
        })
    }
}

/// The type of a column's cells, or of the elements of its lists, without their encoding.
pub fn element(column: &DataType) -> &DataType {
    match column {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            decoded(field.data_type())
        }
        DataType::ListView(field) | DataType::LargeListView(field) => decoded(field.data_type()),
        other => decoded(other),
    }
}

/// The length of a column's first list.
pub fn first_length(column: &ArrayRef) -> Result<i64> {
    Ok(lists(column)?.value_length(0))
}

/// How a column's numbers are rounded.
pub fn rounding(column: &DataType) -> Rounding {
    match decoded(column) {
        DataType::Float16 => HALF,
        DataType::Float32 => SINGLE,
        _ => EXACT,
    }
}

fn decoded(of: &DataType) -> &DataType {
    match of {
        DataType::Dictionary(_, values) => decoded(values),
        DataType::RunEndEncoded(_, values) => decoded(values.data_type()),
        other => other,
    }
}

fn plain(cells: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    cast(cells, decoded(cells.data_type()))
}

/// Lists of any kind.
fn lists(cells: &ArrayRef) -> Result<LargeListArray, ArrowError> {
    let element = element(cells.data_type()).clone();
    let lists = cast(cells, &DataType::LargeList(Arc::new(Field::new_list_field(element, true))))?;
    Ok(lists.as_list::<i64>().clone())
}

/// Some writers do not say that their bytes are text.
fn is_text(of: &DataType) -> bool {
    of.is_string() || of.is_binary()
}

/// As text; bytes that are not text become hexadecimal.
fn texts(plain: &ArrayRef) -> Result<Vec<Option<String>>> {
    let text = |bytes: &[u8]| match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    };
    if is_text(plain.data_type()) {
        let bytes = cast(plain, &DataType::LargeBinary)?;
        return Ok(bytes.as_binary::<i64>().iter().map(|bytes| bytes.map(text)).collect());
    }
    let texts = cast(plain, &DataType::LargeUtf8)?;
    Ok(texts.as_string::<i64>().iter().map(|text| text.map(str::to_owned)).collect())
}

/// What a column holds, for messages.
fn plural(of: &DataType) -> &'static str {
    match of {
        DataType::Date32 | DataType::Date64 => "dates",
        DataType::Time32(_) | DataType::Time64(_) => "times",
        DataType::Timestamp(..) => "dates with times",
        DataType::Duration(_) | DataType::Interval(_) => "lengths of time",
        DataType::Struct(_) => "records",
        DataType::Map(..) => "maps",
        of if of.is_list() => "lists",
        _ => "values of several types",
    }
}
