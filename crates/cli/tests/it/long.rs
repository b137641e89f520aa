//! Labels in long format, with the other options and commands.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, StringArray};
use parquet::basic::Compression;

use crate::parquet::{array, write};
use crate::program::{SMALL, finish, metrics, printed, program, sentence, text, train};
use crate::wide::{LONG, ROWS, entries, features, long};

/// A command on a trained network and a file in long format.
fn apply(name: &str, run: &Path, data: &Path, features: &Path, options: &[&str]) -> Command {
    let mut command = program();
    command.arg(name).arg(run).args(["--device", "cpu", "--data", text(data), "--features", text(features)]);
    command.args(LONG).args(options);
    command
}

#[test]
fn a_network_is_scored_on_the_labels_that_are_selected() {
    let folder = tempfile::tempdir().unwrap();
    let (x, run) = (features(folder.path()), folder.path().join("run"));
    let data = long(folder.path(), 12, |label| format!("assay {label:02}"));
    let selection = ["--labels", "assay 0*,assay 11"];
    finish(train(&data, &[LONG, &["--features", text(&x)], &selection].concat()).arg("--out").arg(&run));
    let evaluate = |options: &[&str]| apply("evaluate", &run, &data, &x, options);
    let found = printed(&mut evaluate(&selection));
    assert!(found.contains("of 11 labels"), "{found}");
    assert_eq!(printed(&mut evaluate(&["--ignore", "assay 10"])), found);
    let all = sentence(&mut evaluate(&[]));
    assert!(all.contains("label \"assay 10\" is not a label of the network"), "{all}");
    let few = sentence(&mut evaluate(&["--labels", "assay 0*"]));
    assert!(few.contains("the labels of the table differ from those of the network: 1 missing (assay 11)"), "{few}");
}

#[test]
fn predictions_are_for_all_rows_of_the_features() {
    let folder = tempfile::tempdir().unwrap();
    let (x, run) = (features(folder.path()), folder.path().join("run"));
    let data = long(folder.path(), 12, |label| label.to_string());
    finish(train(&data, &[LONG, &["--features", text(&x)]].concat()).arg("--out").arg(&run));
    let [of_long, of_features] = ["long.csv", "features.csv"].map(|name| folder.path().join("to_".to_owned() + name));
    finish(&mut apply("predict", &run, &data, &x, &["--to", text(&of_long)]));
    let mut command = program();
    command.arg("predict").arg(&run).args(["--device", "cpu", "--data", text(&x), "--to", text(&of_features)]);
    finish(&mut command);
    let found = fs::read_to_string(&of_long).unwrap();
    assert_eq!(found.lines().count(), 1 + ROWS);
    assert_eq!(found, fs::read_to_string(&of_features).unwrap());
}

#[test]
fn rows_and_labels_are_numbers_of_any_type_or_text() {
    let folder = tempfile::tempdir().unwrap();
    let x = features(folder.path());
    let all = entries(12);
    let options = [LONG, &["--features", text(&x)]].concat();
    let expected = metrics(&long(folder.path(), 12, |label| label.to_string()), &options);
    // As numbers: 2 is before 10.
    let names = expected["test"]["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), (0..12).map(|label| label.to_string()).collect::<Vec<_>>());
    let words = |of: fn(&(usize, usize, f32)) -> usize| -> ArrayRef {
        Arc::new(all.iter().map(|entry| Some(of(entry).to_string())).collect::<StringArray>())
    };
    let values = || array::<Float64Type>(all.iter().map(|entry| Some(f64::from(entry.2))));
    let forms: [[ArrayRef; 3]; 3] = [
        [
            array::<Int32Type>(all.iter().map(|entry| Some(entry.0 as i32))),
            array::<Int64Type>(all.iter().map(|entry| Some(entry.1 as i64))),
            array::<Int32Type>(all.iter().map(|entry| Some(entry.2 as i32))),
        ],
        [
            array::<Float64Type>(all.iter().map(|entry| Some(entry.0 as f64))),
            array::<Float64Type>(all.iter().map(|entry| Some(entry.1 as f64))),
            values(),
        ],
        [words(|entry| entry.0), words(|entry| entry.1), values()],
    ];
    for [molecule, assay, value] in forms {
        let columns = [("assay", assay), ("value", value), ("molecule", molecule)];
        assert_eq!(metrics(&write(folder.path(), &columns, Compression::SNAPPY), &options), expected);
    }
}

#[test]
fn values_are_decoded_and_compared_like_those_of_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let x = features(folder.path());
    let options = [LONG, &["--features", text(&x)]].concat();
    let expected = metrics(&long(folder.path(), 12, |label| label.to_string()), &options);
    let coded = folder.path().join("coded.csv");
    let line = |(row, label, value): (usize, usize, f32)| format!("{row},{label},{}\n", 5.0 + 2.0 * value);
    let lines: String = entries(12).into_iter().map(line).collect();
    fs::write(&coded, format!("molecule,assay,value\n1,3,-9\n{lines}")).unwrap();
    let decoded = [&options[..], &["--threshold", "6", "--missing-value", "-9"]].concat();
    assert_eq!(metrics(&coded, &decoded), expected);
    let mut command = program();
    command.args(["compare", "--seeds", "1", "--data", text(&coded)]).args(SMALL).args(&decoded);
    let found = printed(&mut command);
    assert!(found.contains("bce, missing: negative") && found.contains("of 12"), "{found}");
}
