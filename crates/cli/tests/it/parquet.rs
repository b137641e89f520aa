//! Tables in Parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float64Builder, ListBuilder, StringDictionaryBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::program::{complaint, metrics, printed, program, train};
use crate::tables::Example;

/// In several row groups.
pub fn write(folder: &Path, columns: &[(&str, ArrayRef)], compression: Compression) -> PathBuf {
    write_with(folder, columns, compression, Vec::new())
}

/// With metadata.
pub fn write_with(
    folder: &Path,
    columns: &[(&str, ArrayRef)],
    compression: Compression,
    metadata: Vec<KeyValue>,
) -> PathBuf {
    let path = folder.join("table.parquet");
    let nullable = columns.iter().map(|(name, array)| (*name, array.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(30))
        .set_compression(compression)
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

pub fn array<T: ArrowPrimitiveType>(values: impl IntoIterator<Item = Option<T::Native>>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter(values))
}

/// Its labels, of two types.
pub fn labels(example: &Example) -> [(&'static str, ArrayRef); 2] {
    let label = |place: usize| example.labels.iter().map(move |labels| labels[place]);
    let y1 = BooleanArray::from_iter(label(0).map(|label| label.map(|label| label > 0.5)));
    [("y1", Arc::new(y1)), ("y2", array::<Float64Type>(label(1).map(|label| label.map(f64::from))))]
}

fn feature(example: &Example, place: usize) -> ArrayRef {
    array::<Float32Type>(example.features.iter().map(|cells| Some(cells[place])))
}

#[test]
fn it_holds_the_same_table_as_a_csv() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80).with_column("part", |row| ["train", "val", "test"][row % 3].to_owned());
    let options = ["--labels", "y*", "--split", "part"];
    let expected = metrics(&example.csv(folder.path()), &options);
    let words = (0..80).map(|row| ["train", "val", "test"][row % 3]);
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    words.clone().for_each(|word| drop(dictionary.append(word)));
    let texts: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(words)),
        Arc::new(dictionary.finish()),
        array::<Int64Type>((0..80).map(|row| Some(row % 3))),
    ];
    let compressions = [
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    for (text, compression) in texts.into_iter().cycle().zip(compressions) {
        let [y1, y2] = labels(&example);
        let columns = [("b", feature(&example, 1)), y2, ("part", text), y1, ("a", feature(&example, 0))];
        // In the order of the CSV.
        let columns = [4, 3, 0, 1, 2].map(|place: usize| columns[place].clone());
        assert_eq!(expected, metrics(&write(folder.path(), &columns, compression), &options));
    }
}

#[test]
fn every_type_of_number_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let small = |row: usize| ((row * 7) % 5) as u8;
    let values = || (0..80).map(small);
    let base = array::<UInt8Type>(values().map(Some));
    let decimal = cast(&base, &DataType::Decimal128(10, 2)).unwrap();
    let columns = [
        ("u8", base.clone()),
        ("u16", array::<UInt16Type>(values().map(|x| Some(x.into())))),
        ("u32", array::<UInt32Type>(values().map(|x| Some(x.into())))),
        ("u64", array::<UInt64Type>(values().map(|x| Some(x.into())))),
        ("i8", array::<Int8Type>(values().map(|x| Some(x as i8)))),
        ("i16", array::<Int16Type>(values().map(|x| Some(x.into())))),
        ("i32", array::<Int32Type>(values().map(|x| Some(x.into())))),
        ("i64", array::<Int64Type>(values().map(|x| Some(x.into())))),
        ("f16", cast(&base, &DataType::Float16).unwrap()),
        ("f32", array::<Float32Type>(values().map(|x| Some(x.into())))),
        ("f64", array::<Float64Type>(values().map(|x| Some(x.into())))),
        ("decimal", decimal),
        ("bool", Arc::new(BooleanArray::from_iter(values().map(|x| Some(x > 2)))) as ArrayRef),
    ];
    let mut csv = columns.iter().map(|(name, _)| format!("{name},")).collect::<String>() + "y1,y2\n";
    for (row, [y1, y2]) in example.labels.iter().enumerate() {
        let x = small(row);
        csv += &format!("{x},").repeat(columns.len() - 1);
        csv += &format!("{}", u8::from(x > 2));
        let cell = |label: &Option<f32>| label.map_or_else(String::new, |label| label.to_string());
        csv += &format!(",{},{}\n", cell(y1), cell(y2));
    }
    let plain = folder.path().join("plain.csv");
    std::fs::write(&plain, csv).unwrap();
    let table = write(folder.path(), &[&columns[..], &labels(&example)].concat(), Compression::UNCOMPRESSED);
    let options = ["--labels", "y*"];
    assert_eq!(metrics(&plain, &options), metrics(&table, &options));

    // Fingerprints stay at one byte a bit.
    let bits = [columns[0].clone(), columns[12].clone()];
    let table = write(folder.path(), &[&bits[..], &labels(&example)].concat(), Compression::SNAPPY);
    let printed = printed(program().args(["inspect", "--labels", "y*", "--data"]).arg(&table));
    assert!(printed.contains("Features: 2 as bytes, 60.00 % nonzero"), "{printed}");
}

#[test]
fn a_list_is_a_feature_for_each_of_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let options = ["--labels", "y*"];
    let expected = metrics(&example.csv(folder.path()), &options);
    let mut fixed = FixedSizeListBuilder::new(Float64Builder::new(), 2);
    let mut list = ListBuilder::new(Float64Builder::new());
    for cells in &example.features {
        fixed.values().append_slice(&cells.map(f64::from));
        fixed.append(true);
        list.append_value(cells.map(|cell| Some(f64::from(cell))));
    }
    let lists: [ArrayRef; 2] = [Arc::new(fixed.finish()), Arc::new(list.finish())];
    for features in lists {
        let table = write(folder.path(), &[&[("x", features)], &labels(&example)[..]].concat(), Compression::SNAPPY);
        assert_eq!(expected, metrics(&table, &options));
    }
    let mut ragged = ListBuilder::new(Float64Builder::new());
    (0..80).for_each(|row| ragged.append_value(vec![Some(1.0); if row == 50 { 3 } else { 2 }]));
    let columns = [&[("x", Arc::new(ragged.finish()) as ArrayRef)], &labels(&example)[..]].concat();
    let found = complaint(&write(folder.path(), &columns, Compression::SNAPPY), &options);
    assert!(found.ends_with(": data row 51 of column \"x\" has 3 numbers where the first has 2\n"), "{found}");
}

#[test]
fn null_and_nan_are_no_group() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let group = |row: usize| match row % 4 {
        0 => None,
        1 => Some(f64::NAN),
        _ => Some((row % 7) as f64),
    };
    let columns = [("x", feature(&example, 0)), ("group", array::<Float64Type>((0..80).map(group)))];
    let table = write(folder.path(), &[&columns[..], &labels(&example)].concat(), Compression::SNAPPY);
    let printed = printed(&mut train(&table, &["--labels", "y*", "--group", "group"]));
    assert!(printed.contains("40 rows have no group: each is a group of its own"), "{printed}");
}

#[test]
fn text_of_0_and_1_is_a_feature_for_each_character() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let bits = |row: usize| format!("{:011b}", row * 25 % 2048);
    let options = ["--labels", "y*", "--ignore", "a,b"];
    let plain = folder.path().join("plain.csv");
    let header: String = (0..11).map(|bit| format!("f{bit},")).collect();
    let mut csv = format!("{header}y1,y2\n");
    for (row, labels) in example.labels.iter().enumerate() {
        bits(row).chars().for_each(|bit| csv += &format!("{bit},"));
        let cells = labels.map(|label| label.map_or_else(String::new, |label| label.to_string()));
        csv += &(cells.join(",") + "\n");
    }
    std::fs::write(&plain, csv).unwrap();
    let expected = metrics(&plain, &options[..2]);
    let with_bits = [&options[..], &["--bits", "fp"]].concat();
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..80).map(bits)));
    let parquet = write(folder.path(), &[&[("fp", text)], &labels(&example)[..]].concat(), Compression::SNAPPY);
    assert_eq!(expected, metrics(&parquet, &["--labels", "y*", "--bits", "fp"]));
    let csv = Example::new(80).with_column("fp", bits).csv(folder.path());
    assert_eq!(expected, metrics(&csv, &with_bits));

    let refuse = |row: usize, cell: &str, sentence: &str| {
        let cells = |at| if at == row { cell.to_owned() } else { bits(at) };
        let found = complaint(&Example::new(80).with_column("fp", cells).csv(folder.path()), &with_bits);
        assert!(found.contains(sentence), "{found}");
    };
    refuse(3, "0101", "data row 4 has 4 bits in column \"fp\" where the first has 11");
    refuse(3, "01010101012", "\"01010101012\" in data row 4, column \"fp\" is not made of 0s and 1s");
}

#[test]
fn bad_tables_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let refuse = |columns: &[(&str, ArrayRef)], sentence: &str| {
        let table = write(folder.path(), &[columns, &labels(&example)].concat(), Compression::SNAPPY);
        let found = complaint(&table, &["--labels", "y*"]);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", table.display()));
    };
    let text = Arc::new(StringArray::from_iter_values((0..80).map(|_| "CCO")));
    refuse(
        &[("smiles", text)],
        "\"CCO\" in data row 1, column \"smiles\" is not a number; --ignore leaves the column out",
    );
    let null = "feature \"x\" is NaN in data row 51: only labels may be missing (see --labels and --ignore)";
    refuse(&[("x", array::<Float32Type>((0..80).map(|row| (row != 50).then_some(1.0))))], null);
    refuse(&[("x", array::<UInt8Type>((0..80).map(|row| (row != 50).then_some(1))))], null);
    let range = "outside [0, 1]: --threshold makes labels binary, --missing-value names a number that means missing";
    let columns = [("x", feature(&example, 0)), ("y0", array::<Int32Type>((0..80).map(Some)))];
    refuse(&columns, &format!("label \"y0\" is 2 in data row 3, {range}"));
    refuse(&[], "no feature remains after --labels and --ignore");
    let broken = folder.path().join("broken.parquet");
    std::fs::write(&broken, "not that format").unwrap();
    assert!(complaint(&broken, &["--labels", "y"]).contains("cannot use"));
}
