//! A trained network on tables of every kind, with labels and without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, DType};

use crate::program::{finish, printed, program, read_json, sentence, text, train};
use crate::tables::{Example, add};

/// A run on the example, in the folder.
fn trained(data: &Path, folder: &Path, arguments: &[&str]) -> PathBuf {
    let out = folder.join("run");
    finish(train(data, arguments).arg("--out").arg(&out));
    out
}

fn apply(name: &str, out: &Path, data: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg(name).arg(out).arg("--data").arg(data).args(["--device", "cpu"]).args(arguments);
    command
}

/// The CSV that `predict` writes.
fn predicted(out: &Path, data: &Path, arguments: &[&str]) -> String {
    let to = out.join("p.csv");
    finish(apply("predict", out, data, arguments).arg("--to").arg(&to));
    fs::read_to_string(to).unwrap()
}

#[test]
fn a_trained_network_scores_and_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).csv(folder.path());
    let out = trained(&data, folder.path(), &["--labels", "y*"]);
    let scored = printed(&mut apply("evaluate", &out, &data, &["--labels", "y*"]));
    assert!(scored.contains("macro, 2 of 2 labels"), "{scored}");

    let [csv, npz] = ["to/p.csv", "to/p.npz"].map(|name| folder.path().join(name));
    for to in [&csv, &npz] {
        finish(apply("predict", &out, &data, &["--labels", "y*", "--to"]).arg(to));
    }
    let mut reader = csv::Reader::from_path(&csv).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["y1", "y2"]);
    let rows: Vec<Vec<f32>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().flatten().all(|p| (0.0..=1.0).contains(p)));
    let mut archive = npyz::npz::NpzArchive::open(&npz).unwrap();
    let array: Vec<f32> = archive.by_name("P").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(array, rows.concat());
    let names: Vec<String> = archive.by_name("labels").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(names, ["y1", "y2"]);

    // A label that --labels does not name is read as a feature.
    let complete = Example::new(200).map(|label| label.or(Some(0.0))).csv(folder.path());
    for options in [&["--labels", "y1", "--ignore", "y2"][..], &["--labels", "y1"]] {
        let found = sentence(&mut apply("evaluate", &out, &complete, options));
        assert!(found.contains("the labels of the table differ from those of the network: 1 missing (y2)"), "{found}");
    }
}

#[test]
fn numbers_of_labels_are_no_names_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let arrays = folder.path().join("arrays.npz");
    let mut archive = NpzWriter::create(&arrays).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    let labels: Vec<u8> = (0..160).map(|place| u8::from(place % 3 == 0)).collect();
    add(&mut archive, "Y", u8::default_dtype(), &[80, 2], labels);
    drop(archive);
    let out = trained(&arrays, folder.path(), &[]);
    let expected = predicted(&out, &arrays, &[]);
    // As pandas numbers the columns of an array.
    let numbered = folder.path().join("numbered.csv");
    let rows = example.features.iter().map(|[a, b]| format!("{a},{b}\n"));
    fs::write(&numbered, "0,1\n".to_owned() + &rows.collect::<String>()).unwrap();
    assert_eq!(expected, predicted(&out, &numbered, &[]));

    // Names that look like numbers are names.
    let named = folder.path().join("named.npz");
    let mut archive = NpzWriter::create(&named).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    add(&mut archive, "Y", u8::default_dtype(), &[80, 2], (0..160).map(|place| u8::from(place % 3 == 0)));
    add(&mut archive, "labels", DType::Plain("<U3".parse().unwrap()), &[2], ["720", "902"].map(String::from));
    drop(archive);
    let other = folder.path().join("named");
    finish(train(&named, &["--out"]).arg(&other));
    let rows = example.features.iter().map(|[a, b]| format!("{a},1,{b},0\n"));
    fs::write(&numbered, "a,720,b,902\n".to_owned() + &rows.collect::<String>()).unwrap();
    assert_eq!(predicted(&other, &named, &[]), predicted(&other, &numbered, &[]));

    let to = folder.path().join("p.csv");
    let mut predict = apply("predict", &out, &arrays, &["--labels", "none", "--to", text(&to)]);
    let notes = String::from_utf8(finish(&mut predict).stderr).unwrap();
    assert!(notes.contains("note: --labels and --ignore have no effect, because Y is not read"), "{notes}");
}

#[test]
fn predictions_need_no_labels() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80).with_column("id", |row| format!("row {row}"));
    let data = example.csv(folder.path());
    let out = trained(&data, folder.path(), &["--labels", "y*", "--ignore", "id"]);
    let expected = predicted(&out, &data, &["--labels", "y*", "--ignore", "id"]);
    assert!(expected.starts_with("y1,y2\n"));
    assert_eq!(expected.lines().count(), 81);
    // Columns with the labels' names are not features, whatever they hold.
    assert_eq!(expected, predicted(&out, &data, &["--ignore", "id"]));
    let bare = folder.path().join("bare.csv");
    let rows = example.features.iter().map(|[a, b]| format!("{a},{b}\n"));
    fs::write(&bare, "a,b\n".to_owned() + &rows.collect::<String>()).unwrap();
    assert_eq!(expected, predicted(&out, &bare, &[]));
    let arrays = folder.path().join("x.npz");
    let mut archive = NpzWriter::create(&arrays).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    drop(archive);
    assert_eq!(expected, predicted(&out, &arrays, &[]));
    assert_eq!(expected, predicted(&out, &example.sparse_features(folder.path()), &[]));
    assert_eq!(expected, predicted(&out, &data, &["--features", text(&arrays)]));
    // Without --labels, the labels are the network's.
    let [named, known] = [&["--labels", "y*", "--ignore", "id"][..], &["--ignore", "id"]]
        .map(|options| printed(&mut apply("evaluate", &out, &data, options)));
    assert_eq!(named, known);
    let found = sentence(&mut apply("evaluate", &out, &bare, &[]));
    assert!(found.contains("there is no column \"y1\""), "{found}");
}

#[test]
fn features_in_a_file_of_their_own_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let (data, features) = (example.npz(folder.path()), example.sparse_features(folder.path()));
    let out = trained(&data, folder.path(), &[]);
    let scored = |options: &[&str]| printed(&mut apply("evaluate", &out, &data, options));
    assert_eq!(scored(&[]), scored(&["--features", text(&features)]));
    // All scores, for programs.
    let to = folder.path().join("made/scores.json");
    scored(&["--to", text(&to)]);
    let (scores, metrics) = (read_json(&to), read_json(&out.join("metrics.json")));
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&scores), names(&metrics["test"]));
    let observed = example.labels.iter().filter(|labels| labels[0].is_some()).count();
    assert_eq!(scores["labels"][0]["observed"], observed);
}

#[test]
fn columns_that_do_not_fit_the_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    let out = trained(&data, folder.path(), &["--labels", "y*"]);
    let refuse = |content: &str, sentence: &str| {
        let table = folder.path().join("other.csv");
        fs::write(&table, content).unwrap();
        assert_eq!(refused(&out, &table), format!("error: {sentence}\n"));
    };
    refuse("a\n1\n", "the network takes 2 features, and the table has 1: 1 missing (b)");
    refuse("a,b,c\n1,2,3\n", "the network takes 2 features, and the table has 3: 1 unexpected (c)");
    refuse("b,a\n1,2\n", r#"feature 1 is "a" in the network and "b" in the table"#);
}

/// The message if nothing can be predicted.
fn refused(out: &Path, data: &Path) -> String {
    sentence(apply("predict", out, data, &[]).arg("--to").arg(out.join("p.csv")))
}

#[test]
fn a_configuration_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = trained(&data, folder.path(), &[]);
    let path = out.join("config.json");
    let whole = fs::read_to_string(&path).unwrap();
    for (from, to) in [("16", "17"), ("\"standardize\": false", "\"standardize\": true"), ("  ", " ")] {
        assert!(whole.contains(from), "{from}");
        fs::write(&path, whole.replacen(from, to, 1)).unwrap();
        let found = refused(&out, &data);
        let expected =
            format!("error: cannot use the run in {}: config.json was changed after the run: ", out.display());
        assert!(found.starts_with(&expected), "{found}");
    }
}

#[test]
fn what_is_asked_of_no_run_or_into_no_table_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let none = folder.path().join("none");
    assert!(refused(&none, &data).contains("cannot use the run in"));
    assert!(refused(&none, &data).contains("config.json: No such file"));
    // Checked before anything is read.
    let found = sentence(&mut apply("predict", &none, &data, &["--to", "p.txt"]));
    assert_eq!(found, "error: --to p.txt: its name must end in .csv or .npz\n");
    let found = sentence(&mut apply("evaluate", &none, &data, &["--to", "p.txt"]));
    assert_eq!(found, "error: --to p.txt: its name must end in .json\n");
    let folder = folder.path().join("folder.csv");
    fs::create_dir(&folder).unwrap();
    let out = trained(&data, folder.parent().unwrap(), &[]);
    let found = sentence(&mut apply("predict", &out, &data, &["--to", text(&folder)]));
    assert!(found.starts_with("error: --to: ") && found.ends_with("folder.csv is a folder\n"), "{found}");
}

#[test]
fn a_run_that_is_not_finished_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = trained(&data, folder.path(), &[]);
    for name in ["metrics.json", "weights.safetensors"] {
        fs::remove_file(out.join(name)).unwrap();
    }
    let run = format!("error: cannot use the run in {}: ", out.display());
    let unfinished = "it is not finished; train --resume finishes it, unless it is still running";
    assert_eq!(refused(&out, &data), format!("{run}{unfinished}\n"));
    fs::remove_file(out.join("checkpoint.safetensors")).unwrap();
    assert_eq!(refused(&out, &data), format!("{run}it is not finished: there is no weights.safetensors\n"));
    fs::write(out.join("weights.safetensors"), "not that format").unwrap();
    let found = refused(&out, &data);
    assert!(found.starts_with(&format!("{run}weights.safetensors: ")) && !found.contains('{'), "{found}");
    // A network that another program saved.
    let weight = tch::Tensor::zeros([1], tch::kind::FLOAT_CPU);
    tch::Tensor::write_safetensors(&[("output.bias", weight)], out.join("weights.safetensors")).unwrap();
    assert_eq!(refused(&out, &data), format!("{run}weights.safetensors: it was not written by a training run\n"));
}

#[test]
fn no_input_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    let out = trained(&data, folder.path(), &["--labels", "y*"]);
    let kept = fs::read(&data).unwrap();
    let refuse = |command: &mut Command, to: &Path, input: &Path| {
        let found = sentence(command.arg("--to").arg(to));
        let expected = format!("error: --to {} would overwrite the input {}\n", to.display(), input.display());
        assert_eq!(found, expected);
    };
    let other = out.join("../table.csv");
    for to in [&data, &other] {
        refuse(&mut apply("predict", &out, &data, &[]), to, &data);
    }
    assert_eq!(fs::read(&data).unwrap(), kept);
    let features = Example::new(80).sparse_features(folder.path());
    refuse(&mut apply("predict", &out, &data, &["--features", text(&features)]), &features, &features);
    let read = out.join("config.json");
    refuse(&mut apply("evaluate", &out, &data, &["--labels", "y*"]), &read, &read);
    // A run replaces the files of an earlier one.
    let table = out.join("predictions.csv");
    fs::write(&table, &kept).unwrap();
    let found = sentence(train(&table, &["--labels", "y*", "--out"]).arg(&out));
    let expected = format!("error: --out {} would overwrite the input {}\n", out.display(), table.display());
    assert_eq!(found, expected);
    assert_eq!(fs::read(&table).unwrap(), kept);
}

#[test]
fn features_of_another_number_of_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    let out = trained(&data, folder.path(), &["--labels", "y*"]);
    let features = Example::new(79).sparse_features(folder.path());
    let arrays = Example::new(80).npz(folder.path());
    for data in [&data, &arrays] {
        let to = out.join("p.csv");
        let options = ["--features", text(&features), "--to", text(&to)];
        let found = sentence(&mut apply("predict", &out, data, &options));
        let expected = format!("error: {} has 79 rows, and {} has 80\n", features.display(), data.display());
        assert_eq!(found, expected);
    }
}
