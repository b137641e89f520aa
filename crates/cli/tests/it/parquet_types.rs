//! The types of Parquet's columns, one by one.

use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float64Builder, ListBuilder};
use arrow_array::types::{Date32Type, DurationSecondType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::types::{Time32SecondType, TimestampMicrosecondType, UInt8Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int32Array, NullArray, PrimitiveArray,
    RecordBatch, RunArray, StringArray, StructArray,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::parquet::{array, labels, write};
use crate::program::{complaint, finish, metrics, train};
use crate::tables::Example;

/// The values of `small` as decimals, dictionaries and encodings of text.
fn encoded(small: &ArrayRef) -> Vec<ArrayRef> {
    let to = |of: &ArrayRef, to: DataType| cast(of, &to).unwrap();
    let dictionary =
        |of: &ArrayRef, key: DataType| to(of, DataType::Dictionary(Box::new(key), Box::new(of.data_type().clone())));
    let text = to(small, DataType::Utf8);
    let bytes = to(&text, DataType::Binary);
    let runs = Int32Array::from_iter_values(1..=small.len() as i32);
    let mut all = vec![
        to(small, DataType::Float16),
        to(small, DataType::Decimal32(4, 2)),
        to(small, DataType::Decimal64(12, 2)),
        to(small, DataType::Decimal128(30, 12)),
        to(small, DataType::Decimal256(60, 30)),
        to(&text, DataType::LargeUtf8),
        to(&text, DataType::Utf8View),
        to(&bytes, DataType::LargeBinary),
        to(&bytes, DataType::BinaryView),
        dictionary(&text, DataType::Int32),
        dictionary(&text, DataType::UInt8),
        dictionary(&bytes, DataType::Int32),
        dictionary(small, DataType::Int32),
        Arc::new(RunArray::<Int32Type>::try_new(&runs, &text).unwrap()),
        Arc::new(RunArray::<Int32Type>::try_new(&runs, small).unwrap()),
    ];
    all.extend([text, bytes]);
    all
}

#[test]
fn every_encoding_of_a_number_is_read_as_that_number() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let features = |arrays: &[ArrayRef]| {
        let names: Vec<_> = (0..arrays.len()).map(|place| format!("x{place}")).collect();
        let columns: Vec<_> = names.iter().map(String::as_str).zip(arrays.iter().cloned()).collect();
        write(folder.path(), &[&columns[..], &labels(&example)].concat(), Compression::SNAPPY)
    };
    let small = array::<Int16Type>((0..80).map(|row| Some(row * 7 % 5)));
    let found = encoded(&small);
    let plain = vec![cast(&small, &DataType::Float32).unwrap(); found.len()];
    let options = ["--labels", "y*"];
    assert_eq!(metrics(&features(&plain), &options), metrics(&features(&found), &options));

    // As labels, some of them missing; each type has a null.
    let known = array::<Int16Type>((0..80).map(|row| (row % 3 != 0).then_some(row % 2)));
    let tables = |arrays: Vec<ArrayRef>| {
        let x = array::<Float32Type>((0..80).map(|row| Some((row as f32).sin())));
        let names: Vec<_> = (0..arrays.len()).map(|place| format!("y{place}")).collect();
        let columns = names.iter().map(String::as_str).zip(arrays).chain([("x", x)]);
        write(folder.path(), &columns.collect::<Vec<_>>(), Compression::SNAPPY)
    };
    let mut found = encoded(&known);
    // The words for a missing label are those of CSV.
    let words = |row: usize| ["?", "NA", "", " NaN ", "nan", "1", "0", " 1.0 "][row % 8];
    found.push(Arc::new(StringArray::from_iter_values((0..80).map(words))));
    // The type that pandas writes for a column of None.
    found.push(Arc::new(NullArray::new(80)));
    let mut plain = vec![cast(&known, &DataType::Float32).unwrap(); found.len() - 2];
    plain.push(array::<Float32Type>(
        (0..80).map(|row| words(row).trim().parse().ok().filter(|label: &f32| !label.is_nan())),
    ));
    plain.push(array::<Float32Type>((0..80).map(|_| None)));
    assert_eq!(metrics(&tables(plain), &options), metrics(&tables(found), &options));
}

#[test]
fn every_kind_of_list_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let options = ["--labels", "y*"];
    let table = |x: ArrayRef| write(folder.path(), &[&[("x", x)], &labels(&example)[..]].concat(), Compression::SNAPPY);
    let mut list = ListBuilder::new(Float64Builder::new());
    example.features.iter().for_each(|cells| list.append_value(cells.map(|cell| Some(f64::from(cell)))));
    let list: ArrayRef = Arc::new(list.finish());
    let expected = metrics(&table(list.clone()), &options);
    let item = |of: DataType| Arc::new(Field::new_list_field(of, true));
    for of in [
        DataType::LargeList(item(DataType::Float64)),
        DataType::FixedSizeList(item(DataType::Float32), 2),
        DataType::ListView(item(DataType::Float64)),
        DataType::LargeListView(item(DataType::Float64)),
        DataType::LargeList(item(DataType::Utf8)),
    ] {
        let found = metrics(&table(cast(&list, &of).unwrap()), &options);
        assert_eq!(expected, found, "{of}");
    }

    let refuse = |x: &ArrayRef, sentence: &str| {
        for of in [x.data_type().clone(), DataType::LargeList(item(DataType::Float64))] {
            let path = table(cast(x, &of).unwrap());
            let found = complaint(&path, &options);
            assert_eq!(found, format!("error: cannot use {}: {sentence}\n", path.display()), "{of}");
        }
    };
    let rows = |at: usize, row: Option<Vec<Option<f64>>>| {
        let rows = (0..80).map(|place| if place == at { row.clone() } else { Some(vec![Some(1.0); 2]) });
        let mut list = ListBuilder::new(Float64Builder::new());
        list.extend(rows);
        Arc::new(list.finish()) as ArrayRef
    };
    refuse(&rows(50, None), r#"data row 51 of column "x": expected a list, found null"#);
    refuse(&rows(0, None), r#"data row 1 of column "x": expected a list, found null"#);
    refuse(&rows(50, Some(vec![])), r#"data row 51 of column "x" has 0 numbers where the first has 2"#);
    let missing = r#"feature "x[1]" is NaN in data row 51: only labels may be missing (see --labels and --ignore)"#;
    refuse(&rows(50, Some(vec![Some(1.0), None])), missing);
    let mut fixed = FixedSizeListBuilder::new(Float64Builder::new(), 1);
    (0..80).for_each(|row| {
        fixed.values().append_value(1.0);
        fixed.append(row != 70);
    });
    refuse(&(Arc::new(fixed.finish()) as ArrayRef), r#"data row 71 of column "x": expected a list, found null"#);
    // Bytes have no NaN.
    let bytes = cast(&rows(50, Some(vec![Some(1.0), None])), &DataType::List(item(DataType::UInt8))).unwrap();
    assert!(complaint(&table(bytes), &options).ends_with(&format!("{missing}\n")));
}

#[test]
fn what_is_no_number_is_refused_by_the_name_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let rows = || 0..80;
    let field = Arc::new(Field::new("a", DataType::Int64, false));
    let record = StructArray::from(vec![(field, array::<Int64Type>((0..80).map(Some)))]);
    let mut nested = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
    rows().for_each(|_| {
        nested.values().append_value([Some(1.0)]);
        nested.append(true);
    });
    let mut list = ListBuilder::new(Float64Builder::new());
    rows().for_each(|_| list.append_value([Some(1.0)]));
    let list: ArrayRef = Arc::new(list.finish());
    let time: PrimitiveArray<TimestampMicrosecondType> = (0..80).map(Some).collect();
    let zoned = time.clone().with_timezone("Europe/Berlin");
    let not_numbers = |name: &str, plural: &str| {
        format!("column {name:?} holds {plural}, which are not numbers; --ignore leaves it out")
    };
    let refuse = |name: &str, cells: ArrayRef, sentence: String| {
        let table = write(folder.path(), &[&[(name, cells)], &labels(&example)[..]].concat(), Compression::SNAPPY);
        let found = complaint(&table, &["--labels", "y*"]);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", table.display()));
    };
    for (cells, plural) in [
        (array::<Date32Type>(rows().map(Some)), "dates"),
        (array::<Time32SecondType>(rows().map(Some)), "times"),
        (Arc::new(time) as ArrayRef, "dates with times"),
        (Arc::new(zoned), "dates with times"),
        (array::<DurationSecondType>(rows().map(|row| Some(row.into()))), "lengths of time"),
        (Arc::new(record), "records"),
        (Arc::new(nested.finish()), "lists"),
    ] {
        refuse("x", cells, not_numbers("x", plural));
    }
    refuse("y3", list, not_numbers("y3", "lists"));
    let bytes = Arc::new(BinaryArray::from_iter_values(rows().map(|_| [0xff, 1])));
    let not_a_number = "in data row 1, column \"x\" is not a number; --ignore leaves the column out";
    refuse("x", bytes, format!("\"0xff01\" {not_a_number}"));
    let null = "feature \"x\" is NaN in data row 1: only labels may be missing (see --labels and --ignore)";
    refuse("x", Arc::new(NullArray::new(80)), null.to_owned());
}

#[test]
fn groups_and_splits_are_read_from_every_type_of_word_or_number() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let x = array::<Float32Type>(example.features.iter().map(|cells| Some(cells[0])));
    // The split by a column.
    let split = |option: &str, cells: ArrayRef| {
        let columns = [&[("x", x.clone()), ("word", cells)], &labels(&example)[..]].concat();
        let table = write(folder.path(), &columns, Compression::SNAPPY);
        let out = tempfile::tempdir().unwrap();
        finish(train(&table, &["--labels", "y*", option, "word", "--out"]).arg(out.path()));
        fs::read_to_string(out.path().join("split.csv")).unwrap()
    };
    let group = |row: i16| row * 3 % 23;
    let numbers = array::<Int16Type>((0..80).map(|row| Some(group(row))));
    let expected = split("--group", numbers.clone());
    let to = |of: DataType| cast(&numbers, &of).unwrap();
    let wide = |of: DataType| cast(&to(DataType::Int64), &of).unwrap();
    let mut kinds = encoded(&numbers);
    kinds.extend([
        to(DataType::Float32),
        to(DataType::Float64),
        cast(&to(DataType::Int32), &DataType::Date32).unwrap(),
        wide(DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, Some("Europe/Berlin".into()))),
        wide(DataType::Duration(arrow_schema::TimeUnit::Second)),
        // An identifier of two bytes that are not text.
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..80).map(|row| [0xff, group(row) as u8])).unwrap()),
    ]);
    for kind in kinds {
        let of = kind.data_type().clone();
        assert_eq!(expected, split("--group", kind), "{of}");
    }
    let half = |row: usize| row.is_multiple_of(2);
    let booleans = Arc::new(BooleanArray::from_iter((0..80).map(|row| Some(half(row)))));
    let words = StringArray::from_iter_values((0..80).map(|row| if half(row) { "even" } else { "odd" }));
    // Two groups are too few to split, whatever their names.
    for two in [booleans as ArrayRef, Arc::new(words)] {
        let columns = [&[("x", x.clone()), ("word", two)], &labels(&example)[..]].concat();
        let table = write(folder.path(), &columns, Compression::SNAPPY);
        let found = complaint(&table, &["--labels", "y*", "--group", "word"]);
        assert_eq!(found, "error: a split needs at least 3 groups, and the table has 2 (80 rows)\n");
    }

    // pandas turns integers with gaps into floating point.
    let parts = array::<UInt8Type>((0..80).map(|row| Some(row % 3)));
    let expected = split("--split", parts.clone());
    for of in [DataType::Float64, DataType::Float16, DataType::Utf8View] {
        assert_eq!(expected, split("--split", cast(&parts, &of).unwrap()), "{of}");
    }
    let gaps = array::<Float64Type>((0..80).map(|row| Some(if row == 40 { f64::NAN } else { f64::from(row % 3) })));
    let columns = [&[("x", x.clone()), ("word", gaps)], &labels(&example)[..]].concat();
    let table = write(folder.path(), &columns, Compression::SNAPPY);
    let found = complaint(&table, &["--labels", "y*", "--split", "word"]);
    assert_eq!(found, "error: the split is empty in data row 41: expected train, validation or test\n");
    let mut list = ListBuilder::new(Float64Builder::new());
    (0..80).for_each(|_| list.append_value([Some(1.0)]));
    let columns = [&[("x", x.clone()), ("word", Arc::new(list.finish()) as ArrayRef)], &labels(&example)[..]].concat();
    let table = write(folder.path(), &columns, Compression::SNAPPY);
    let found = complaint(&table, &["--labels", "y*", "--group", "word"]);
    assert!(found.ends_with(": column \"word\" holds lists, which are neither words nor numbers\n"), "{found}");
}

#[test]
fn bits_are_read_from_every_type_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let options = ["--labels", "y*", "--bits", "fp"];
    let text: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..80).map(|row| format!("{:011b}", row * 25 % 2048))));
    let found = |fp: ArrayRef| {
        let columns = [&[("fp", fp)], &labels(&example)[..]].concat();
        metrics(&write(folder.path(), &columns, Compression::SNAPPY), &options)
    };
    let expected = found(text.clone());
    let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8));
    for of in [DataType::LargeUtf8, DataType::Utf8View, DataType::Binary, DataType::BinaryView, dictionary] {
        assert_eq!(expected, found(cast(&text, &of).unwrap()), "{of}");
    }
}

#[test]
fn a_schema_of_the_writer_that_cannot_be_read_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--labels", "y*"];
    let columns =
        [&[("x", array::<Float32Type>((0..80).map(|row| Some((row as f32).sin()))))], &labels(&Example::new(80))[..]]
            .concat();
    let path = write(folder.path(), &columns, Compression::SNAPPY);
    let expected = metrics(&path, &options);
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let hint = KeyValue::new("ARROW:schema".to_owned(), Some("not a schema".to_owned()));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![hint])).build();
    let writing = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create(&path).unwrap(), batch.schema(), writing).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(expected, metrics(&path, &options));
}
