//! Tables of many labels, few of them observed: sparse files, long format, and the highest probabilities of each row.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, StringArray};
use npyz::AutoSerialize;
use npyz::npz::NpzWriter;
use parquet::basic::Compression;
use serde_json::Value;

use crate::parquet::write;
use crate::program::{complaint, finish, metrics, printed, program, read_json, sentence, text, train};
use crate::tables::{add, write_csr};

pub const ROWS: usize = 240;

/// Row, label and value of a few observed entries for this many labels.
pub fn entries(labels: usize) -> Vec<(usize, usize, f32)> {
    let of_row = |row: usize| {
        let mut columns: Vec<_> = (0..3).map(|entry| (row * 31 + entry * 17) % labels).collect();
        columns.sort();
        columns.dedup();
        columns.into_iter().map(move |label| (row, label, f32::from(feature(row) > (label % 3) as f32 * 0.3 - 0.4)))
    };
    (0..ROWS).filter(|row| row % 11 != 5).flat_map(of_row).collect()
}

fn feature(row: usize) -> f32 {
    (row as f32 * 2.0).sin()
}

pub fn features(folder: &Path) -> PathBuf {
    let path = folder.join("x.npz");
    let mut archive = NpzWriter::create(&path).unwrap();
    let cells = (0..ROWS).flat_map(|row| [feature(row), (row as f32 * 3.0).sin()]);
    add(&mut archive, "X", f32::default_dtype(), &[ROWS as u64, 2], cells);
    path
}

fn dense(folder: &Path, labels: usize) -> PathBuf {
    let path = folder.join("y.npz");
    let mut cells = vec![f32::NAN; ROWS * labels];
    entries(labels).into_iter().for_each(|(row, label, value)| cells[row * labels + label] = value);
    let mut archive = NpzWriter::create(&path).unwrap();
    add(&mut archive, "Y", f32::default_dtype(), &[ROWS as u64, labels as u64], cells);
    path
}

fn csr(folder: &Path, labels: usize) -> PathBuf {
    let mut rows = vec![Vec::new(); ROWS];
    entries(labels).into_iter().for_each(|(row, label, value)| rows[row].push((label as u64, value)));
    write_csr(&folder.join("csr.npz"), labels as u64, &rows)
}

/// In another order, with a column that is not used, an entry without a value, and labels named by numbers or words.
pub fn long(folder: &Path, labels: usize, name: impl Fn(usize) -> String) -> PathBuf {
    let path = folder.join("long.csv");
    let mut lines = vec!["assay,value,by,molecule".to_owned(), format!("{},,nobody,0", name(1))];
    lines.extend(
        entries(labels).into_iter().rev().map(|(row, label, value)| format!("{},{value},x,{row}", name(label))),
    );
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

pub const LONG: &[&str] = &["--long", "molecule,assay,value"];

/// Whether two results are equal except for rounding and names.
fn agree(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            (found.as_f64().unwrap() - expected.as_f64().unwrap()).abs() < 1e-5
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| agree(a, b))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && found.iter().all(|(name, value)| name == "name" || agree(value, &expected[name]))
        }
        _ => found == expected,
    }
}

#[test]
fn few_labels_score_the_same_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, x) = (40, features(folder.path()));
    for head in ["dense", "observed"] {
        let of = |data: &Path, options: &[&str]| {
            metrics(data, &[&["--features", text(&x), "--head", head, "--balanced"], options].concat())
        };
        let expected = of(&dense(folder.path(), labels), &[]);
        assert!(expected["test"]["scored_labels"].as_u64() > Some(0));
        let sparse = of(&csr(folder.path(), labels), &[]);
        assert!(agree(&sparse, &expected), "{head}: {sparse}, {expected}");
        // The same bits, whatever the file.
        let csv = long(folder.path(), labels, |label| label.to_string());
        assert_eq!(of(&csv, LONG), sparse, "{head}");
    }
}

#[test]
fn long_format_is_read_from_parquet_too_and_a_run_may_be_repeated_from_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, x) = (12, features(folder.path()));
    let name = |label: usize| format!("assay {label:02}");
    let csv = long(folder.path(), labels, name);
    let column = |of: fn(&(usize, usize, f32)) -> i64| {
        Arc::new(entries(12).iter().map(|entry| Some(of(entry))).collect::<Int64Array>()) as ArrayRef
    };
    let words: StringArray = entries(labels).iter().map(|entry| Some(name(entry.1))).collect();
    let values: Float32Array = entries(labels).iter().map(|entry| Some(entry.2)).collect();
    let columns: [(&str, ArrayRef); 3] =
        [("value", Arc::new(values)), ("molecule", column(|entry| entry.0 as i64)), ("assay", Arc::new(words))];
    let parquet = write(folder.path(), &columns, Compression::SNAPPY);
    let options = [LONG, &["--features", text(&x), "--labels", "assay 0*,assay 11"]].concat();
    let expected = metrics(&csv, &options);
    assert_eq!(metrics(&parquet, &options), expected);
    let names = expected["test"]["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), (0..12).filter(|&label| label != 10).map(name).collect::<Vec<_>>());

    let [first, again] = ["first", "again"].map(|name| folder.path().join(name));
    finish(train(&csv, &options).arg("--out").arg(&first));
    let mut repeated = program();
    repeated.args(["train", "--device", "cpu", "--config"]).arg(first.join("run.toml")).arg("--out").arg(&again);
    finish(&mut repeated);
    assert_eq!(read_json(&again.join("metrics.json")), read_json(&first.join("metrics.json")));

    // The network of all labels scores a few entries.
    let few = folder.path().join("few.csv");
    fs::write(&few, "molecule,assay,value\n3,assay 07,1\n3,assay 02,0\n7,assay 07,0\n").unwrap();
    let evaluate = |file: &Path| {
        let mut command = program();
        command.arg("evaluate").arg(&first).arg("--data").arg(file).args(["--device", "cpu", "--features", text(&x)]);
        command.args(LONG);
        command
    };
    assert!(printed(&mut evaluate(&few)).contains("macro, 1 of 11 labels"));
    fs::write(&few, "molecule,assay,value\n3,assay 99,1\n").unwrap();
    assert!(sentence(&mut evaluate(&few)).contains("label \"assay 99\" is not a label of the network"));
    assert!(
        printed(program().args(["inspect", "--data", text(&csv)]).args(&options))
            .contains("240 rows, 2 features, 11 labels")
    );
}

#[test]
fn faults_of_long_format_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (x, data) = (features(folder.path()), folder.path().join("long.csv"));
    let found = |lines: &str, options: &[&str]| {
        fs::write(&data, lines).unwrap();
        complaint(&data, &[LONG, options].concat())
    };
    let with = ["--features", text(&x)];
    let header = "molecule,assay,value\n";
    for (lines, expected) in [
        (format!("{header}0,a,1\n240,a,0\n"), "the row is 240 in data row 2, but the features have 240 rows, from 0"),
        (format!("{header}-1,a,1\n"), "the row is -1 in data row 1: expected a whole number from 0"),
        (format!("{header}0.5,a,1\n"), "the row is 0.5 in data row 1"),
        (format!("{header},a,1\n"), "the row is NaN in data row 1"),
        (format!("{header}0,,1\n"), "data row 1 names no label"),
        (format!("{header}0,a,2\n"), "label \"a\" is 2 in data row 1, outside [0, 1]"),
        (format!("{header}3,b,1\n3,a,0\n3,b,1\n"), "row 3 has label \"b\" twice"),
        (format!("{header}3,b,\n3,a,0\n3,b,1\n"), "row 3 has label \"b\" twice"),
        (format!("{header}0,a\n"), "data row 1 has 2 cells where the header has 3"),
        (header.to_owned(), "no label remains after --labels and --ignore"),
        (format!("{header}0,a,\n"), "no label is observed at all"),
        ("molecule,label,value\n".to_owned(), "there is no column \"assay\"; there are molecule, label, value"),
    ] {
        let found = found(&lines, &with);
        assert!(found.contains(expected), "{found}, {lines}");
    }
    let good = format!("{header}0,a,1\n");
    assert!(found(&good, &[]).contains("--long needs --features"));
    let split = found(&good, &[&with[..], &["--split", "part"]].concat());
    assert!(split.contains("--split needs a line per row, but with --long a line is an entry"), "{split}");
    let two = complaint(&data, &[&with[..], &["--long", "molecule,assay"]].concat());
    assert!(two.contains("--long: expected three columns (row, label and value), found 2"), "{two}");
    let npz = complaint(&x, &[LONG, &with[..]].concat());
    assert!(npz.contains("with --long, its name must end in .csv, .csv.gz or .parquet"), "{npz}");
}

/// Probabilities by row and label.
fn table(csv: &str) -> HashMap<(usize, String), f32> {
    let mut lines = csv.lines();
    let header: Vec<_> = lines.next().unwrap().split(',').map(String::from).collect();
    let row = |(row, line): (usize, &str)| {
        let cells: Vec<f32> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        header.iter().cloned().zip(cells).map(move |(label, cell)| ((row, label), cell)).collect::<Vec<_>>()
    };
    lines.enumerate().flat_map(row).collect()
}

/// Row, label and probability of each line.
fn top(csv: &str) -> Vec<(usize, String, f32)> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("row,label,probability"));
    let line = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        (cells[0].parse().unwrap(), cells[1].to_owned(), cells[2].parse().unwrap())
    };
    lines.map(line).collect()
}

#[test]
fn the_highest_probabilities_are_those_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, x, out) = (2100, features(folder.path()), folder.path().join("run"));
    let data = csr(folder.path(), labels);
    finish(train(&data, &["--features", text(&x), "--unobserved", "keep"]).arg("--out").arg(&out));
    let predict = |to: &str, options: &[&str]| -> PathBuf {
        let (to, mut command) = (folder.path().join(to), program());
        command.arg("predict").arg(&out).args(["--data", text(&x), "--device", "cpu", "--to", text(&to)]);
        finish(Command::args(&mut command, options));
        to
    };
    let all = table(&fs::read_to_string(predict("all.csv", &[])).unwrap());
    let check = |csv: &str, rows: usize, count: usize| {
        let top = top(csv);
        assert_eq!(top.len(), rows * count);
        for of_row in top.chunks(count) {
            assert!(of_row.is_sorted_by(|a, b| a.2 >= b.2 && a.0 == b.0));
            let mut of_all: Vec<f32> = (0..labels).map(|label| all[&(of_row[0].0, label.to_string())]).collect();
            of_all.sort_by(|a, b| b.total_cmp(a));
            for ((row, label, probability), expected) in of_row.iter().zip(&of_all) {
                assert!((probability - expected).abs() < 1e-6);
                assert!((probability - all[&(*row, label.clone())]).abs() < 1e-6);
            }
        }
    };
    check(&fs::read_to_string(predict("top.csv", &["--top", "3"])).unwrap(), ROWS, 3);
    check(&fs::read_to_string(predict("more.csv", &["--top", "5000"])).unwrap(), ROWS, labels);
    // A run writes the same for its test rows.
    check(&fs::read_to_string(out.join("predictions.csv")).unwrap(), ROWS / 10, 20);

    let archive = fs::File::open(predict("top.npz", &["--top", "2"])).unwrap();
    let mut archive = npyz::npz::NpzArchive::new(archive).unwrap();
    let top: Vec<i64> = archive.by_name("top").unwrap().unwrap().into_vec().unwrap();
    let p: Vec<f32> = archive.by_name("P").unwrap().unwrap().into_vec().unwrap();
    assert_eq!((top.len(), p.len()), (2 * ROWS, 2 * ROWS));
    for (place, (label, probability)) in top.iter().zip(p).enumerate() {
        assert!((all[&(place / 2, label.to_string())] - probability).abs() < 1e-6);
    }
}
