//! Labels, from the file to training.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Decimal128Array};
use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, half::f16};
use parquet::basic::Compression;
use safetensors::tensor::{Dtype, TensorView};

use crate::parquet::{array, write};
use crate::program::{finish, program, sentence, text};
use crate::tables::{add, write_csr};

fn inspect(data: &Path, options: &[&str]) -> Command {
    let mut command = program();
    command.args(["inspect", "--data"]).arg(data).args(options);
    command
}

/// The numbers of observed and of positive labels, and the notes.
fn counts(data: &Path, options: &[&str]) -> ([usize; 2], String) {
    let Output { stdout, stderr, .. } = finish(&mut inspect(data, options));
    let (stdout, stderr) = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).into();
    let line = stdout.lines().find(|line| line.starts_with("Labels: ")).unwrap();
    let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    ([numbers[0], numbers[2]], stderr)
}

/// A column of labels `y`, beside a feature of 0s.
fn csv(folder: &Path, cells: &[&str]) -> PathBuf {
    let path = folder.join("y.csv");
    fs::write(&path, cells.iter().fold("x,y\n".to_owned(), |text, cell| text + "0," + cell + "\n")).unwrap();
    path
}

fn parquet(folder: &Path, y: ArrayRef) -> PathBuf {
    let x = array::<Float32Type>((0..y.len()).map(|_| Some(0.0)));
    write(folder, &[("x", x), ("y", y)], Compression::SNAPPY)
}

fn npz<T: AutoSerialize + Copy>(folder: &Path, y: &[T]) -> PathBuf {
    let (path, rows) = (folder.join("y.npz"), y.len() as u64);
    let mut archive = NpzWriter::create(&path).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[rows, 1], y.iter().map(|_| 0f32));
    add(&mut archive, "Y", T::default_dtype(), &[rows, 1], y.iter().copied());
    path
}

fn safetensors(folder: &Path, dtype: Dtype, y: &[u8]) -> PathBuf {
    let (path, rows) = (folder.join("y.safetensors"), y.len() * 8 / dtype.bitsize());
    let x = TensorView::new(Dtype::U8, vec![rows, 1], &[0; 64][..rows]).unwrap();
    let y = TensorView::new(dtype, vec![rows, 1], y).unwrap();
    safetensors::serialize_to_file([("X", x), ("Y", y)], None, &path).unwrap();
    path
}

const LABELS: [&str; 2] = ["--labels", "y"];

#[test]
fn infinite_labels_are_refused_with_a_threshold_and_without() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let x = folder.join("x.npz");
    fs::rename(npz(folder, &[0f32; 2]), &x).unwrap();
    let refuse = |data: &Path, label: &str, options: &[&str]| {
        for threshold in [&[][..], &["--threshold", "6.5"], &["--threshold", "6.5", "--missing-value", "1e300"]] {
            let found = sentence(&mut inspect(data, &[options, threshold].concat()));
            let expected =
                format!("label {label:?} is inf in data row 2, which is not finite; a missing label is empty or NaN\n");
            assert!(found.ends_with(&expected), "{found}");
        }
    };
    refuse(&csv(folder, &["1", "inf"]), "y", &LABELS);
    refuse(&parquet(folder, array::<Float64Type>([1.0, f64::INFINITY].map(Some))), "y", &LABELS);
    refuse(&parquet(folder, array::<Float32Type>([1.0, f32::INFINITY].map(Some))), "y", &LABELS);
    let (singles, halves) = ([1.0, f32::INFINITY], [f16::ONE, f16::INFINITY]);
    refuse(&npz(folder, &singles), "0", &[]);
    refuse(&npz(folder, &halves), "0", &[]);
    refuse(&safetensors(folder, Dtype::F32, &singles.map(f32::to_le_bytes).concat()), "0", &[]);
    let sparse = write_csr(&folder.join("csr.npz"), 1, &[vec![(0, 1.0)], vec![(0, f32::INFINITY)]]);
    refuse(&sparse, "0", &["--features", text(&x)]);
    let negative = sentence(&mut inspect(&csv(folder, &["-inf"]), &[&LABELS[..], &["--threshold", "6.5"]].concat()));
    assert!(negative.contains("label \"y\" is -inf in data row 1"), "{negative}");
}

#[test]
fn a_missing_value_is_found_in_the_type_of_the_file_or_as_f32() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let single = f64::from(-999.9f32);
    let half = f16::from_f32(-999.9);
    let options = |data: PathBuf, labels: &[&str]| {
        for threshold in [&[][..], &["--threshold", "0.5"]] {
            let options = [labels, &["--missing-value", "-999.9"], threshold].concat();
            assert_eq!(counts(&data, &options), ([2, 1], String::new()), "{}", data.display());
        }
    };
    options(csv(folder, &["-999.9", "1", "0"]), &LABELS);
    options(csv(folder, &["-999.9000244140625", "1", "0"]), &LABELS);
    options(parquet(folder, array::<Float32Type>([-999.9, 1.0, 0.0].map(Some))), &LABELS);
    options(parquet(folder, array::<Float64Type>([single, 1.0, 0.0].map(Some))), &LABELS);
    options(parquet(folder, array::<Float64Type>([-999.9, 1.0, 0.0].map(Some))), &LABELS);
    options(npz(folder, &[single, 1.0, 0.0]), &[]);
    options(npz(folder, &[-999.9f32, 1.0, 0.0]), &[]);
    options(npz(folder, &[half, f16::ONE, f16::ZERO]), &[]);
    // -999.9 and 1 as bfloat16, by PyTorch.
    options(safetensors(folder, Dtype::BF16, &[0x7a, 0xc4, 0x80, 0x3f, 0, 0]), &[]);
    options(safetensors(folder, Dtype::F16, &[half, f16::ONE, f16::ZERO].map(f16::to_le_bytes).concat()), &[]);

    // In half precision it rounds to -1000, a different number in `f64`.
    let data = npz(folder, &[-1000.0, 1.0, 0.0]);
    let found = sentence(&mut inspect(&data, &["--missing-value", "-999.9"]));
    assert!(found.contains("label \"0\" is -1000 in data row 1, outside [0, 1]"), "{found}");
    // The smallest integer, which is exact as `f64`, and the largest, which is not.
    let least = parquet(folder, array::<Int64Type>([i64::MIN, 1, 0].map(Some)));
    let option = ["--labels", "y", "--missing-value", "-9223372036854775808"];
    assert_eq!(counts(&least, &option), ([2, 1], String::new()));
    assert_eq!(counts(&npz(folder, &[i64::MIN, 1, 0]), &option[2..]), ([2, 1], String::new()));
    let largest = parquet(folder, array::<UInt64Type>([u64::MAX, 1, 0].map(Some)));
    let option = ["--labels", "y", "--missing-value", "18446744073709551615"];
    assert_eq!(counts(&largest, &option), ([2, 1], String::new()));
}

#[test]
fn a_threshold_is_compared_in_the_precision_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // It rounds to the threshold in `f32`.
    let below = 6.5f64.next_down();
    let options = ["--labels", "y", "--threshold", "6.5"];
    assert_eq!(counts(&csv(folder, &[&below.to_string(), "6.5"]), &options).0, [2, 1]);
    assert_eq!(counts(&parquet(folder, array::<Float64Type>([below, 6.5].map(Some))), &options).0, [2, 1]);
    assert_eq!(counts(&npz(folder, &[below, 6.5]), &options[2..]).0, [2, 1]);
    // 6.1 in `f32` and 6.4 in half precision are below these numbers in `f64`.
    let single = |threshold: &'static str| ["--labels", "y", "--threshold", threshold];
    assert_eq!(counts(&parquet(folder, array::<Float32Type>([6.0, 6.1].map(Some))), &single("6.1")).0, [2, 1]);
    assert_eq!(counts(&npz(folder, &[6.0, 6.1f32]), &single("6.1")[2..]).0, [2, 1]);
    assert_eq!(counts(&npz(folder, &[6.0, 6.4].map(f16::from_f32)), &single("6.4")[2..]).0, [2, 1]);
    // Integers.
    assert_eq!(counts(&npz(folder, &[6i32, 7]), &options[2..]).0, [2, 1]);
}

#[test]
fn labels_are_checked_before_they_are_rounded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refuse = |data: PathBuf, options: &[&str], found: &str| {
        let sentence = sentence(&mut inspect(&data, options));
        assert!(sentence.contains(&format!(" is {found} in data row 2, outside [0, 1]")), "{sentence}");
    };
    refuse(csv(folder, &["1", "1.00000001"]), &LABELS, "1.00000001");
    refuse(csv(folder, &["1", "-1e-50"]), &LABELS, &(-1e-50).to_string());
    refuse(parquet(folder, array::<Float64Type>([1.0, 1.00000001].map(Some))), &LABELS, "1.00000001");
    let decimals = |scale, of: [i128; 2]| {
        Arc::new(Decimal128Array::from_iter_values(of).with_precision_and_scale(38, scale).unwrap()) as ArrayRef
    };
    refuse(parquet(folder, decimals(8, [100_000_000, 100_000_001])), &LABELS, "1.00000001");
    refuse(npz(folder, &[1.0, 1.00000001]), &[], "1.00000001");
    refuse(npz(folder, &[1i64, 1 << 53]), &[], "9007199254740992");
    // 10^30 is not exact in `f64`.
    let exact = parquet(folder, decimals(30, [0, 10i128.pow(30)]));
    assert_eq!(counts(&exact, &LABELS), ([2, 1], String::new()));
}

#[test]
fn options_that_do_nothing_are_remarked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let binary = csv(folder, &["0", "1", ""]);
    let note = |options: &[&str], expected: &str| {
        assert_eq!(counts(&binary, &[&LABELS, options].concat()).1, expected);
    };
    note(&["--missing-value", "-999"], "note: --missing-value -999 matches no label\n");
    note(&["--missing-value", "0"], "");
    note(&["--threshold", "0.5"], "");
    note(&["--threshold", "6.5"], "note: --threshold 6.5 makes every observed label 0\n");
    note(&["--threshold", "-1"], "note: --threshold -1 makes every observed label 1\n");
    let both = "note: --missing-value 5 matches no label\nnote: --threshold 6.5 makes every observed label 0\n";
    note(&["--missing-value", "5", "--threshold", "6.5"], both);
    // Of the labels in use.
    let arrays = folder.join("two.npz");
    let mut archive = NpzWriter::create(&arrays).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[2, 1], [0f32, 0.0]);
    add(&mut archive, "Y", f32::default_dtype(), &[2, 2], [0f32, -9.0, 1.0, -9.0]);
    drop(archive);
    let found = counts(&arrays, &["--labels", "0", "--missing-value", "-9"]);
    assert_eq!(found, ([2, 1], "note: --missing-value -9 matches no label\n".to_owned()));
}

#[test]
fn in_a_sparse_y_an_option_is_applied_to_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let y = write_csr(&folder.join("csr.npz"), 1, &[vec![(0, 1.0)], vec![(0, -1.0)], vec![(0, 0.0)], vec![]]);
    let x = npz(folder, &[0f32; 4]);
    let found = |options: &[&str]| counts(&y, &[&["--features", text(&x)], options].concat()).0;
    assert_eq!(found(&[]), [3, 1]);
    assert_eq!(found(&["--missing-value", "0"]), [2, 1]);
    assert_eq!(found(&["--missing-value", "-1"]), [2, 1]);
    assert_eq!(found(&["--threshold", "-1"]), [3, 3]);
}

#[test]
fn words_of_truth_and_of_absence_are_read_as_programs_write_them() {
    let folder = tempfile::tempdir().unwrap();
    // pandas, R and Spark in turn; then pandas, R, SQL, Python, Excel and the UCI archive.
    for [yes, no] in [["True", "False"], ["TRUE", "FALSE"], ["true", "false"]] {
        for missing in ["", "NaN", "<NA>", "NA", "NULL", "null", "None", "#N/A", "N/A", "?"] {
            let found = counts(&csv(folder.path(), &[yes, no, missing, yes]), &["--labels", "y"]);
            assert_eq!(found, ([3, 2], String::new()), "{yes} {missing}");
        }
    }
    let words = csv(folder.path(), &["yes", "1"]);
    let found = sentence(&mut inspect(&words, &["--labels", "y"]));
    assert!(found.contains(r#""yes" in data row 1, column "y" is not a number"#), "{found}");
}
