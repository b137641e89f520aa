//! `train`: the results and the files of a run.

use std::fs;

use crate::program::{complaint, finish, metrics, printed, read_json, text, train};
use crate::tables::Example;

#[test]
fn every_format_holds_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let csv = metrics(&example.csv(folder.path()), &["--labels", "y*"]);
    assert!(csv["test"]["macro_auroc"].is_f64());
    assert_eq!(csv, metrics(&example.csv_gz(folder.path()), &["--labels", "y1,y2"]));
    assert_eq!(csv, metrics(&example.npz(folder.path()), &[]));
    assert_eq!(csv, metrics(&example.safetensors(folder.path()), &[]));
}

#[test]
fn it_learns_what_can_be_learned() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = metrics(&Example::new(600).csv(folder.path()), &["--labels", "y*", "--epochs", "30", "--lr", "0.01"]);
    for metric in ["macro_auroc", "macro_average_precision"] {
        assert!(metrics["test"][metric].as_f64().unwrap() > 0.95, "{metrics}");
    }
    assert_eq!(metrics["test"]["scored_labels"], 2);
    assert_eq!(metrics["history"].as_array().unwrap().len(), 30);
}

#[test]
fn the_seed_decides() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    assert_eq!(metrics(&data, &["--seed", "3"]), metrics(&data, &["--seed", "3"]));
    assert_ne!(metrics(&data, &["--seed", "3"]), metrics(&data, &["--seed", "4"]));
}

#[test]
fn weights_configuration_and_metrics_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/run");
    let data = Example::new(200).csv(folder.path());
    let printed = printed(train(&data, &["--labels", "y*", "--out"]).arg(&out));
    let mut left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let results = ["calibration.svg", "curves.svg", "labels.svg", "observed.svg", "predictions.csv", "report.html"];
    let mut expected =
        ["checkpoint.safetensors", "config.json", "metrics.json", "run.toml", "split.csv", "weights.safetensors"]
            .to_vec();
    expected.extend(results);
    expected.extend([".lock", "events.out.tfevents.masked-loss"]);
    expected.sort();
    assert_eq!(left, expected);

    let config = read_json(&out.join("config.json"));
    assert_eq!(config["outputs"], serde_json::json!(["y1", "y2"]));
    assert_eq!(config["rows"], serde_json::json!({ "train": 160, "validation": 20, "test": 20 }));
    let weights = tch::Tensor::read_safetensors(out.join("weights.safetensors")).unwrap();
    let size = |name| weights.iter().find(|weight| weight.0 == name).unwrap().1.size();
    assert_eq!(size("hidden.0.weight"), [16, 2]);
    assert_eq!(size("output.weight"), [2, 16]);

    assert!(printed.contains("macro, 2 of 2 labels"), "{printed}");
}

#[test]
fn missing_as_negative_changes_the_training_and_not_what_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let [mask, negative] = ["ignore", "negative"].map(|missing| metrics(&data, &["--missing", missing]));
    assert_ne!(mask["history"][0]["train_loss"], negative["history"][0]["train_loss"]);
    for label in 0..2 {
        for count in ["observed", "positive"] {
            assert_eq!(mask["test"]["labels"][label][count], negative["test"]["labels"][label][count]);
        }
    }
}

#[test]
fn a_sentinel_and_a_threshold_decode_labels() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let plain = metrics(&example.csv(folder.path()), &["--labels", "y*"]);
    let coded = example.map(|label| Some(label.map_or(-1.0, |label| 6.0 + label)));
    let decoding = ["--labels", "y*", "--missing-value", "-1", "--threshold", "6.5"];
    assert_eq!(plain, metrics(&coded.csv(folder.path()), &decoding));
}

#[test]
fn a_split_column_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let part = |row: usize| {
        if row < 50 {
            "train"
        } else if row < 70 {
            "Validation"
        } else {
            "test"
        }
    };
    let data = Example::new(80).with_column("part", |row| part(row).to_owned()).csv(folder.path());
    let out = folder.path().join("run");
    finish(train(&data, &["--labels", "y*", "--split", "part", "--out"]).arg(&out));
    let rows = &read_json(&out.join("config.json"))["rows"];
    assert_eq!(*rows, serde_json::json!({ "train": 50, "validation": 20, "test": 10 }));
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let data = Example::new(80).npz(folder.path());
    let complaint = complaint(&data, &["--lr", "1e30", "--out", text(&out)]);
    assert!(
        complaint.contains("the training loss became inf in epoch 1; --standardize or a lower --lr may help"),
        "{complaint}"
    );
    let mut left: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "config.json", "run.toml", "split.csv"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(train(&data, &["--out"]).arg(&out).stdout(writer).status().unwrap().success());
    assert!(out.join("metrics.json").exists());
}
