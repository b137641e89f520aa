//! Names of columns: which columns they mean, and which are ignored.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, StringArray};
use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, DType};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;

use crate::parquet::{array, labels, write, write_with};
use crate::program::{complaint, finish, metrics, program, read_json, sentence, text, train};
use crate::tables::{Example, add};

/// The standard error and the configuration of a short run.
fn trained(data: &Path, out: &Path, options: &[&str]) -> (String, serde_json::Value) {
    let output = finish(train(data, options).args(["--epochs", "1", "--out"]).arg(out));
    (String::from_utf8(output.stderr).unwrap(), read_json(&out.join("config.json")))
}

/// The example's CSV, with further columns in front.
fn prefixed(folder: &Path, header: &str, cells: impl Fn(usize) -> String) -> PathBuf {
    let content = fs::read_to_string(Example::new(80).csv(folder)).unwrap();
    let line = |(line, rest): (usize, &str)| match line {
        0 => format!("{header}{rest}\n"),
        row => format!("{}{rest}\n", cells(row - 1)),
    };
    let path = folder.join("prefixed.csv");
    fs::write(&path, content.lines().enumerate().map(line).collect::<String>()).unwrap();
    path
}

#[test]
fn a_column_without_a_name_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // As pandas and R write row names.
    for (header, cells, note) in [
        (",", "7,", "note: the column without a name is ignored: pandas and R write row names this way\n"),
        ("\"\",", "\"a\",", "note: the column without a name is ignored: pandas and R write row names this way\n"),
        (" ,,", "7,seven,", "note: 2 columns without a name are ignored\n"),
    ] {
        let data = prefixed(folder.path(), header, |_| cells.to_owned());
        for further in [&[][..], &["--ignore", r#""""#]] {
            let (notes, config) = trained(&data, &out, &[&["--labels", "y*"], further].concat());
            assert_eq!((notes.as_str(), &config["features"]), (note, &serde_json::json!(["a", "b"])), "{header}");
        }
    }
    // `predict` prints the note, too.
    let data = prefixed(folder.path(), ",", |row| format!("{row},"));
    let mut predict = program();
    predict.arg("predict").arg(&out).arg("--data").arg(&data).arg("--to").arg(folder.path().join("p.csv"));
    assert!(String::from_utf8(finish(&mut predict).stderr).unwrap().contains("without a name is ignored"));
    // Names that pandas gives, and names that only look like these.
    for (header, features) in [
        ("Unnamed: 0,__index_level_0__,", &["a", "b"][..]),
        ("Unnamed: x,Unnamed,", &["Unnamed: x", "Unnamed", "a", "b"]),
    ] {
        let data = prefixed(folder.path(), header, |row| format!("{},{},", row * 7 % 80, row * 7 % 79));
        assert_eq!(trained(&data, &out, &["--labels", "y*"]).1["features"], serde_json::json!(features), "{header}");
    }
    // R writes no name at all.
    let data = prefixed(folder.path(), "", |row| format!("{row},"));
    let found = complaint(&data, &["--labels", "y*"]);
    assert!(found.contains("5 cells where the header has 4: R writes row names without a column name"), "{found}");
}

#[test]
fn what_pandas_made_of_its_index_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let example = Example::new(80);
    let feature = |place: usize| array::<Float32Type>(example.features.iter().map(|cells| Some(cells[place])));
    let [y1, y2] = labels(&example);
    let number: ArrayRef = array::<Float32Type>((0..80).map(|row| Some(row as f32)));
    let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..80).map(|row| format!("w{}", row % 29))));
    let columns = [("a", feature(0)), y1, ("b", feature(1)), y2, ("key", number.clone()), ("who", words)];
    let with = |pandas: &str| {
        let pair = KeyValue::new("pandas".to_owned(), pandas.to_owned());
        write_with(folder.path(), &columns, Compression::SNAPPY, vec![pair])
    };
    // As written by pandas 2; only one key is read.
    let both = r#"{"index_columns": ["key", "who"], "columns": [], "pandas_version": "2.3.3"}"#;
    let features = |config: &serde_json::Value| config["features"].clone();
    let (notes, config) = trained(&with(both), &out, &["--labels", "y*"]);
    assert_eq!(features(&config), serde_json::json!(["a", "b"]));
    let expected = r#"note: ignored, because pandas marks it as an index: "key", "who""#;
    assert!(notes.contains(expected), "{notes}");
    // A glob does not match an index; its name does.
    let x = example.npz(folder.path());
    let (_, config) = trained(&with(both), &out, &["--labels", "y*", "--group", "who"]);
    assert_eq!(features(&config), serde_json::json!(["a", "b"]));
    let (_, config) = trained(&with(both), &out, &["--labels", "*", "--ignore", "a,b", "--features", text(&x)]);
    assert_eq!(config["outputs"], serde_json::json!(["y1", "y2"]));
    let found = metrics(&with(both), &["--labels", "y*", "--ignore", "who"]);
    assert_eq!(found, metrics(&example.csv(folder.path()), &["--labels", "y*"]));
    // A range has no column; other metadata is ignored.
    for other in [r#"{"index_columns": [{"kind": "range", "start": 0}]}"#, "{", "[]", r#"{"index_columns": 1}"#] {
        let (_, config) = trained(&with(other), &out, &["--labels", "y*", "--ignore", "who"]);
        assert_eq!(features(&config), serde_json::json!(["a", "b", "key"]), "{other}");
    }
}

/// With words in the columns of a CSV, a Parquet table and an archive.
fn blank_words(folder: &Path) -> [PathBuf; 3] {
    let example = Example::new(80);
    let word = |row: usize| [" train", "val ", " test "][row % 3];
    let csv = prefixed(folder, " part ,", |row| format!("{},", word(row)));
    let feature = |place: usize| array::<Float32Type>(example.features.iter().map(|cells| Some(cells[place])));
    let [y1, y2] = labels(&example);
    let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..80).map(word)));
    let columns = [(" part ", words), ("a ", feature(0)), (" y1", y1.1), ("b", feature(1)), ("y2", y2.1)];
    let parquet = write(folder, &columns, Compression::SNAPPY);
    let npz = folder.join("blanks.npz");
    let mut archive = NpzWriter::create(&npz).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    let cells = example.labels.concat().into_iter().map(|label| label.unwrap_or(f32::NAN));
    add(&mut archive, "Y", f32::default_dtype(), &[80, 2], cells);
    let dtype = || DType::Plain("<U6".parse().unwrap());
    add(&mut archive, "labels", dtype(), &[2], [" y1", "y2 "].map(String::from));
    add(&mut archive, "part", dtype(), &[80], (0..80).map(|row| word(row).to_owned()));
    drop(archive);
    [csv, parquet, npz]
}

#[test]
fn blanks_around_names_and_words_mean_nothing_in_any_format() {
    let folder = tempfile::tempdir().unwrap();
    let [csv, parquet, npz] = blank_words(folder.path());
    let options = ["--labels", " y1,y2", "--split", "part"];
    let expected = metrics(&csv, &options);
    assert_eq!(metrics(&parquet, &options), expected);
    assert_eq!(metrics(&npz, &options), expected);
}

#[test]
fn a_name_is_not_read_as_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let npz = folder.path().join("names.npz");
    let example = Example::new(80);
    let mut archive = NpzWriter::create(&npz).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    let cells = example.labels.concat().into_iter().map(|label| label.unwrap_or(f32::NAN));
    add(&mut archive, "Y", f32::default_dtype(), &[80, 2], cells);
    let dtype = DType::Plain("<U6".parse().unwrap());
    add(&mut archive, "labels", dtype, &[2], ["*", "[M+H]+"].map(String::from));
    drop(archive);
    let out = folder.path().join("run");
    let outputs = |options: &[&str]| trained(&npz, &out, options).1["outputs"].clone();
    // By default, all labels.
    assert_eq!(outputs(&[]), serde_json::json!(["*", "[M+H]+"]));
    assert_eq!(outputs(&["--labels", "*"]), serde_json::json!(["*"]));
    assert_eq!(outputs(&["--labels", "[M+H]+"]), serde_json::json!(["[M+H]+"]));
    assert_eq!(outputs(&["--ignore", "*"]), serde_json::json!(["[M+H]+"]));
    let found = complaint(&npz, &["--labels", "[M+H"]);
    assert!(found.ends_with("there is no column \"[M+H\"; there are *, [M+H]+\n"), "{found}");
}

#[test]
fn a_column_is_named_by_one_option() {
    let folder = tempfile::tempdir().unwrap();
    let data = prefixed(folder.path(), "id,", |row| format!("{},", row % 29));
    let both = |options: &[&str], expected: &str| {
        let found = complaint(&data, options);
        assert!(found.ends_with(&format!(": column {expected}\n")), "{found}");
    };
    both(&["--labels", "y1,y2", "--ignore", "y1"], r#""y1" is named by both --ignore and --labels"#);
    both(&["--labels", "y1,y2", "--group", "y1"], r#""y1" is named by both --group and --labels"#);
    both(&["--labels", "y*", "--group", "id", "--split", "id"], r#""id" is named by both --split and --group"#);
    both(&["--labels", "y*,id", "--bits", "id"], r#""id" is named by both --labels and --bits"#);
    // A glob matches the remaining columns.
    let out = folder.path().join("run");
    let roles = |options: &[&str]| {
        let config = trained(&data, &out, options).1;
        (config["features"].clone(), config["outputs"].clone())
    };
    let expected = (serde_json::json!(["a", "b"]), serde_json::json!(["y2"]));
    assert_eq!(roles(&["--labels", "y*", "--ignore", "y1,id"]), expected);
    assert_eq!(roles(&["--labels", "y2", "--ignore", "y*,id"]), expected);
    assert_eq!(roles(&["--labels", "y2,y*", "--ignore", "y1", "--group", "id"]), expected);
    let npz = Example::new(80).npz(folder.path());
    assert!(complaint(&npz, &["--bits", "y1"]).contains("--bits needs a table with named columns"));
    let found = complaint(&blank_words(folder.path())[2], &["--split", "part", "--group", "part"]);
    assert!(found.contains("array part is named by both --split and --group"), "{found}");
    let found = complaint(&data, &["--labels", "y*", "--bits", "id", "--features", text(&npz)]);
    assert!(found.contains("--bits names columns of --data, but --features names another file"), "{found}");
}

#[test]
fn no_two_features_have_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = prefixed(folder.path(), "fp[1],fp,", |row| format!("{row},{:02b},", row % 4));
    let found = complaint(&data, &["--labels", "y*", "--bits", "fp"]);
    assert!(found.contains(r#"two columns are named "fp[1]""#), "{found}");
}

#[test]
fn predictions_name_their_rows_unlike_any_label() {
    let folder = tempfile::tempdir().unwrap();
    let content = fs::read_to_string(Example::new(80).csv(folder.path())).unwrap().replacen("y1,b,y2", "row,b,row_", 1);
    let (data, out) = (folder.path().join("table.csv"), folder.path().join("run"));
    fs::write(&data, content).unwrap();
    trained(&data, &out, &["--labels", "row*"]);
    assert!(fs::read_to_string(out.join("predictions.csv")).unwrap().starts_with("row__,row,row_\n"));
}

#[test]
fn groups_that_a_split_divides_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    // 10 groups of 8 rows; the split divides the first one.
    let part = |row: usize| {
        if row.is_multiple_of(10) && row < 3 * 10 { "test" } else { ["train", "validation", "test"][row % 10 % 3] }
    };
    let group = |row: usize| row % 10;
    let parts_of =
        |of: usize| (0..80).filter(|&row| group(row) == of).map(part).collect::<std::collections::HashSet<_>>();
    let divided = (0..10).filter(|&of| parts_of(of).len() > 1).count();
    assert_eq!(divided, 1);
    let data = prefixed(folder.path(), "part,who,", |row| format!("{},{},", part(row), group(row)));
    let output = finish(&mut train(&data, &["--labels", "y*", "--split", "part", "--group", "who", "--epochs", "1"]));
    let found = String::from_utf8(output.stdout).unwrap();
    let expected = "1 of 10 groups have rows in several parts: --group does not change a given split\n";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn features_without_names_are_taken_in_their_order_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, npz) = (Example::new(80).csv(folder.path()), Example::new(80).npz(folder.path()));
    let to = folder.path().join("p.csv");
    let predict = |run: &Path, data: &Path| -> Command {
        let mut command = program();
        command.arg("predict").arg(run).arg("--data").arg(data).arg("--to").arg(&to);
        command
    };
    let (of_csv, of_npz) = (folder.path().join("csv"), folder.path().join("npz"));
    trained(&csv, &of_csv, &["--labels", "y*"]);
    trained(&npz, &of_npz, &[]);
    let notes = |run: &Path, data: &Path| String::from_utf8(finish(&mut predict(run, data)).stderr).unwrap();
    assert_eq!(notes(&of_csv, &csv), "");
    assert_eq!(notes(&of_npz, &npz), "");
    let expected = "note: the table has no feature names: its features are taken in the network's order\n";
    assert_eq!(notes(&of_csv, &npz), expected);
    let expected = "note: the network has no feature names: it takes the table's features in their order\n";
    assert_eq!(notes(&of_npz, &csv), expected);
    // Features in another order are refused.
    fs::write(&csv, fs::read_to_string(&csv).unwrap().replacen("a,y1,b", "b,y1,a", 1)).unwrap();
    let found = sentence(&mut predict(&of_csv, &csv));
    assert!(found.contains(r#"feature 1 is "a" in the network and "b" in the table"#), "{found}");
}
