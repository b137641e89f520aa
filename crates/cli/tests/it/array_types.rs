//! The types of arrays in .npz and .safetensors, one by one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use npyz::half::{bf16, f16};
use npyz::zip::write::FileOptions;
use npyz::zip::{CompressionMethod, ZipWriter};
use safetensors::tensor::{Dtype, TensorView};

use crate::program::{complaint, finish, metrics, text, train};

const ROWS: usize = 80;

/// The bytes of a 0 or a 1.
type Cells = fn(u8) -> Vec<u8>;

/// Two features and one label of 0 and 1.
fn x() -> impl Iterator<Item = u8> {
    (0..2 * ROWS).map(|place| (place * place % 7 % 2) as u8)
}

fn y() -> impl Iterator<Item = u8> {
    (0..ROWS).map(|row| (row * 5 % 3 % 2) as u8)
}

/// An array as NumPy writes it, by the name of its type.
struct Array {
    name: &'static str,
    descr: &'static str,
    shape: String,
    fortran: bool,
    bytes: Vec<u8>,
}

impl Array {
    fn new(name: &'static str, descr: &'static str, shape: &str, bytes: Vec<u8>) -> Self {
        Self { name, descr, shape: shape.to_owned(), fortran: false, bytes }
    }

    fn member(&self) -> Vec<u8> {
        let order = if self.fortran { "True" } else { "False" };
        let descr = if self.descr.starts_with('[') { self.descr.to_owned() } else { format!("'{}'", self.descr) };
        let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {}, }}", self.shape);
        let header = format!("{header:<117}\n");
        [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes(), &self.bytes].concat()
    }
}

fn write(folder: &Path, arrays: &[Array], method: CompressionMethod) -> PathBuf {
    let path = folder.join("table.npz");
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    for array in arrays {
        let options = FileOptions::default().compression_method(method);
        archive.start_file(format!("{}.npy", array.name), options).unwrap();
        archive.write_all(&array.member()).unwrap();
    }
    archive.finish().unwrap();
    path
}

/// 0s and 1s in a type of NumPy's.
fn bytes(descr: &str, cells: impl Iterator<Item = u8>) -> Vec<u8> {
    let big = descr.starts_with('>');
    let cell = |cell: u8| {
        let mut bytes = match &descr[1..] {
            "f2" => f16::from_f32(cell.into()).to_le_bytes().to_vec(),
            "f4" => f32::from(cell).to_le_bytes().to_vec(),
            "f8" => f64::from(cell).to_le_bytes().to_vec(),
            integer => u64::from(cell).to_le_bytes()[..integer[1..].parse().unwrap()].to_vec(),
        };
        if big {
            bytes.reverse();
        }
        bytes
    };
    cells.flat_map(cell).collect()
}

fn table(descr: &'static str) -> [Array; 2] {
    [Array::new("X", descr, "(80, 2)", bytes(descr, x())), Array::new("Y", descr, "(80, 1)", bytes(descr, y()))]
}

#[test]
fn every_number_of_numpy_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let found = |arrays: &[Array], method| metrics(&write(folder.path(), arrays, method), &[]);
    let expected = found(&table("<f4"), CompressionMethod::Stored);
    for descr in [
        "|b1", "|u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<f2",
        ">f2", ">f4", "<f8", ">f8",
    ] {
        assert_eq!(expected, found(&table(descr), CompressionMethod::Deflated), "{descr}");
    }
    // Columns first.
    let [mut array, y] = table(">u2");
    let cells: Vec<u8> = x().collect();
    array.bytes = bytes(">u2", (0..2).flat_map(|column| cells.iter().skip(column).step_by(2)).copied());
    array.fortran = true;
    assert_eq!(expected, found(&[array, y], CompressionMethod::Stored));
    // A vector is one column.
    let [x, mut y] = table("<f4");
    y.shape = "(80,)".to_owned();
    assert_eq!(expected, found(&[x, y], CompressionMethod::Stored));
}

#[test]
fn other_types_of_numpy_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |arrays: &[Array], sentence: &str| {
        let path = write(folder.path(), arrays, CompressionMethod::Stored);
        assert_eq!(complaint(&path, &[]), format!("error: cannot use {}: {sentence}\n", path.display()));
    };
    let text = "expected numbers, found text: .astype(float) converts it";
    let objects = "it holds Python objects: convert them by .astype(str) or .astype(float) before saving";
    let records = "it holds records: numpy.lib.recfunctions.structured_to_unstructured converts them to numbers";
    for (descr, size, sentence) in [
        ("<f16", 16, "it holds 128-bit numbers: .astype('float64') converts them"),
        ("<c8", 8, "expected real numbers, found complex ones"),
        ("<M8[D]", 8, "it holds dates, which are not numbers"),
        ("<m8[s]", 8, "it holds lengths of time, which are not numbers"),
        ("<U1", 4, text),
        ("|S1", 1, text),
        ("|V4", 4, "elements of type |V4 are not supported"),
        ("[('a', '<f4'), ('b', '<f4')]", 8, records),
        // A pickle follows, of any length.
        ("|O", 1, objects),
    ] {
        let [x, y] = table("<f4");
        refuse(&[Array::new("X", descr, "(80, 2)", vec![0; 160 * size]), y], &format!("array X: {sentence}"));
        refuse(&[x, Array::new("Y", descr, "(80, 1)", vec![0; 80 * size])], &format!("array Y: {sentence}"));
    }
    let [x, y] = table("<f4");
    refuse(&[x, y, Array::new("labels", "|O", "(1,)", b"\x80\x04.".to_vec())], &format!("array labels: {objects}"));
    let large = "it holds an integer of 2^63 or more, which does not fit in a signed 64-bit integer";
    let [x, _] = table("<f4");
    refuse(&[x, Array::new("Y", "<u8", "(80, 1)", vec![255; 640])], &format!("array Y: {large}"));
    let [x, _] = table("<f4");
    let shape = "Y: expected a matrix, found shape []";
    refuse(&[x, Array::new("Y", "<f4", "()", vec![0; 4])], shape);
}

#[test]
fn names_groups_and_splits_are_read_from_every_type_of_word_or_number() {
    let folder = tempfile::tempdir().unwrap();
    let wide = |word: &str| word.bytes().flat_map(|byte| [byte, 0, 0, 0]).collect::<Vec<_>>();
    let with = |array: Array| {
        let [x, y] = table("<f4");
        write(folder.path(), &[x, y, array], CompressionMethod::Stored)
    };
    for (descr, shape, name) in [
        ("<U2", "(1,)", wide("y1")),
        (">U2", "(1,)", wide("y1").chunks(4).flat_map(|bytes| bytes.iter().rev()).copied().collect()),
        ("|S3", "(1,)", b"y1\0".to_vec()),
        ("<U2", "()", wide("y1")),
        ("<U2", "(1, 1)", wide("y1")),
    ] {
        let found = metrics(&with(Array::new("labels", descr, shape, name)), &["--labels", "y1"]);
        assert_eq!(found["test"]["labels"][0]["name"], "y1", "{descr} {shape}");
    }
    // The split by an array.
    let split = |option: &str, array: Array| {
        let out = tempfile::tempdir().unwrap();
        finish(&mut train(&with(array), &[option, "word", "--out", text(out.path())]));
        fs::read_to_string(out.path().join("split.csv")).unwrap()
    };
    let words = |descr, bytes| Array::new("word", descr, "(80,)", bytes);
    let group = || (0..80u8).map(|row| row * 3 % 23);
    let expected =
        split("--group", words("|S2", group().flat_map(|group| format!("{group:02}").into_bytes()).collect()));
    for descr in ["|u1", "<u8", ">i2", "<f2", "<f4", "<f8"] {
        assert_eq!(expected, split("--group", words(descr, bytes(descr, group()))), "{descr}");
    }
    assert_eq!(expected, split("--group", words("<M8[D]", bytes("<i8", group()))));
    let parts = || (0..80u8).map(|row| row % 3);
    assert_eq!(
        split("--split", words("|i1", parts().collect())),
        split("--split", words("<f8", bytes("<f8", parts())))
    );
    // No group: NaN, and the smallest integer as a date.
    let gaps = |descr, cell: fn(u8) -> [u8; 8]| split("--group", words(descr, (0..80).flat_map(cell).collect()));
    let nan = gaps("<f8", |row| if row < 40 { f64::NAN } else { f64::from(row) }.to_le_bytes());
    let none = gaps("<M8[ns]", |row| if row < 40 { i64::MIN } else { row.into() }.to_le_bytes());
    assert_eq!(nan, none);
}

#[test]
fn sparse_matrices_of_every_type_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csr.npz");
    let features = |data: &'static str, index: &'static str| {
        let mut starts = vec![0u8];
        let cells: Vec<u8> = x().collect();
        let mut columns = Vec::new();
        cells.chunks(2).for_each(|row| {
            columns.extend((0..2).filter(|&column| row[usize::from(column)] != 0));
            starts.push(columns.len() as u8);
        });
        let count = format!("({},)", columns.len());
        let arrays = [
            Array::new("format", "|S3", "()", b"csr".to_vec()),
            Array::new("_is_array", "|b1", "()", vec![1]),
            Array::new("shape", "<i8", "(2,)", bytes("<i8", [80, 2].into_iter())),
            Array::new("indptr", index, "(81,)", bytes(index, starts.into_iter())),
            Array::new("indices", index, &count, bytes(index, columns.iter().copied())),
            Array::new("data", data, &count, bytes(data, columns.iter().map(|_| 1))),
        ];
        fs::rename(write(folder.path(), &arrays, CompressionMethod::Deflated), &path).unwrap();
    };
    let table = || write(folder.path(), &table("<f4"), CompressionMethod::Stored);
    let expected = metrics(&table(), &[]);
    let of_data = ["|b1", "|i1", "|u1", "<u2", "<i4", "<i8", "<f8"].map(|data| (data, "<i4"));
    let of_index = ["<i8", "<u2", "<u4", "<u8"].map(|index| ("<f4", index));
    for (data, index) in of_data.into_iter().chain(of_index) {
        features(data, index);
        assert_eq!(expected, metrics(&table(), &["--features", text(&path)]), "{data} {index}");
    }
    features("<f4", "<f4");
    let found = complaint(&table(), &["--features", text(&path)]);
    assert!(found.ends_with("csr.npz: indptr does not hold integers\n"), "{found}");
}

#[test]
fn every_number_of_safetensors_is_read_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.safetensors");
    let save = |dtype, cells: Cells, shape: Vec<usize>| {
        let (x, y) = (x().flat_map(cells).collect::<Vec<_>>(), y().flat_map(cells).collect::<Vec<_>>());
        let x = TensorView::new(dtype, vec![ROWS, 2], &x).unwrap();
        let y = TensorView::new(dtype, shape, &y).unwrap();
        // No option requests it.
        let other = TensorView::new(Dtype::F8_E5M2, vec![1], &[0]).unwrap();
        safetensors::serialize_to_file([("X", x), ("Y", y), ("other", other)], None, &path).unwrap();
    };
    let expected = metrics(&write(folder.path(), &table("<f4"), CompressionMethod::Stored), &[]);
    let types: [(_, Cells); 13] = [
        // Any byte but 0 is true.
        (Dtype::BOOL, |cell| vec![2 * cell]),
        (Dtype::U8, |cell| vec![cell]),
        (Dtype::I8, |cell| vec![cell]),
        (Dtype::U16, |cell| u16::from(cell).to_le_bytes().into()),
        (Dtype::I16, |cell| i16::from(cell).to_le_bytes().into()),
        (Dtype::U32, |cell| u32::from(cell).to_le_bytes().into()),
        (Dtype::I32, |cell| i32::from(cell).to_le_bytes().into()),
        (Dtype::U64, |cell| u64::from(cell).to_le_bytes().into()),
        (Dtype::I64, |cell| i64::from(cell).to_le_bytes().into()),
        (Dtype::F16, |cell| f16::from_f32(cell.into()).to_le_bytes().into()),
        (Dtype::BF16, |cell| bf16::from_f32(cell.into()).to_le_bytes().into()),
        (Dtype::F32, |cell| f32::from(cell).to_le_bytes().into()),
        (Dtype::F64, |cell| f64::from(cell).to_le_bytes().into()),
    ];
    for (dtype, cells) in types {
        save(dtype, cells, vec![ROWS, 1]);
        assert_eq!(expected, metrics(&path, &[]), "{dtype}");
        save(dtype, cells, vec![ROWS]);
        assert_eq!(expected, metrics(&path, &[]), "{dtype}");
    }
    let refuse = |sentence: &str| {
        assert_eq!(complaint(&path, &[]), format!("error: cannot use {}: {sentence}\n", path.display()));
    };
    for dtype in [Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::F8_E8M0] {
        save(dtype, |cell| vec![cell], vec![ROWS, 1]);
        refuse(&format!("array Y: elements of type {dtype} are not supported; F32 is"));
    }
    save(Dtype::C64, |cell| vec![cell; 8], vec![ROWS, 1]);
    refuse("array Y: elements of type C64 are not supported; F32 is");
    save(Dtype::U64, |_| vec![255; 8], vec![ROWS, 1]);
    refuse("array Y: it holds an integer of 2^63 or more, which does not fit in a signed 64-bit integer");
    save(Dtype::F32, |_| vec![0; 4], vec![ROWS, 1, 1]);
    refuse("Y: expected a matrix, found shape [80, 1, 1]");
}
