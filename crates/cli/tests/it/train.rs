//! Runs the built training program on small tables.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use npyz::zip::ZipWriter;
use npyz::zip::write::FileOptions;

mod tables;
use tables::{Example, SMALL, complaint, metrics, program, read_json, run};

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
    let output = run(&data, &["--labels", "y*", "--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    let mut left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let results = ["calibration.svg", "curves.svg", "labels.svg", "observed.svg", "predictions.csv", "report.html"];
    let mut expected =
        ["checkpoint.safetensors", "config.json", "metrics.json", "run.toml", "split.csv", "weights.safetensors"]
            .to_vec();
    expected.extend(results);
    expected.push("events.out.tfevents.masked-loss");
    expected.sort();
    assert_eq!(left, expected);

    let config = read_json(&out.join("config.json"));
    assert_eq!(config["outputs"], serde_json::json!(["y1", "y2"]));
    assert_eq!(config["rows"], serde_json::json!({ "train": 160, "validation": 20, "test": 20 }));
    let weights = tch::Tensor::read_safetensors(out.join("weights.safetensors")).unwrap();
    let size = |name| weights.iter().find(|weight| weight.0 == name).unwrap().1.size();
    assert_eq!(size("hidden.0.weight"), [16, 2]);
    assert_eq!(size("output.weight"), [2, 16]);

    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("macro, 2 of 2 labels"), "{table}");
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
fn a_split_column_is_obeyed() {
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
    let output = run(&data, &["--labels", "y*", "--split", "part", "--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    let rows = &read_json(&out.join("config.json"))["rows"];
    assert_eq!(*rows, serde_json::json!({ "train": 50, "validation": 20, "test": 10 }));
}

#[test]
fn bad_tables_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let refuse = |content: &str, arguments: &[&str], sentence: &str| {
        fs::write(&table, content).unwrap();
        let found = complaint(&table, arguments);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", table.display()));
    };
    let y = ["--labels", "y"];
    refuse("a,y\n1,0\n", &["--labels", "z"], r#"there is no column "z"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "z*"], r#"there is no column "z*"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "y", "--ignore", "id"], r#"there is no column "id"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "y", "--split", "s"], r#"there is no column "s"; there are a, y"#);
    refuse("a,y\n1,0\n", &[], "--labels is missing, the names of the label columns");
    refuse("a,a,y\n1,1,0\n", &y, r#"two columns are named "a""#);
    refuse("a,y\n1,0\n1,high\n", &y, r#""high" in data row 2, column "y" is no number"#);
    refuse("a,y\nC=O,0\n", &y, r#""C=O" in data row 1, column "a" is no number"#);
    refuse("a,y\n1,0\n1\n", &y, "data row 2 has 1 cells where the header has 2");
    refuse("a,y\n1,0\n1,0,1\n", &y, "data row 2 has 3 cells where the header has 2");
    refuse("a,y\n1,?\n1,NA\n1,\n1,nan\n", &y, "no label is observed at all");
    refuse("a,y\n1,0\n,1\n", &y, r#"feature "a" is NaN in data row 2: only labels may be missing"#);
    refuse("a,y\n1,0\ninf,1\n", &y, r#"feature "a" is inf in data row 2: only labels may be missing"#);
    let range = "outside [0, 1]: --threshold makes labels binary, --missing-value names a number that means missing";
    refuse("a,y\n1,0\n1,2\n", &y, &format!(r#"label "y" is 2 in data row 2, {range}"#));
    refuse("a,y\n1,0\n1,-1\n", &y, &format!(r#"label "y" is -1 in data row 2, {range}"#));
    refuse("a,y\n", &y, "there is no row");
    refuse("y\n1\n", &y, "no feature is left");
    refuse("a,y\n1,0\n", &["--labels", "y", "--ignore", "y"], "no label is left");
}

#[test]
fn a_split_that_leaves_a_part_empty_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let refuse = |content: &str, arguments: &[&str], sentence: &str| {
        fs::write(&table, content).unwrap();
        let found = complaint(&table, &[&["--labels", "y"], arguments].concat());
        assert_eq!(found, format!("error: {sentence}\n"));
    };
    refuse("a,y\n1,0\n1,1\n", &[], "2 rows or groups are too few to split");
    let split = ["--split", "s"];
    refuse(
        "a,y,s\n1,0,train\n1,1,dev\n",
        &split,
        r#"the split says "dev" in data row 2, not train, validation or test"#,
    );
    refuse("a,y,s\n1,0,train\n1,1,val\n", &split, "the split has no test row");
    refuse("a,y,s\n1,0,0\n1,,1\n1,1,2\n", &split, "no label is observed in the validation rows");
}

#[test]
fn files_that_are_no_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(complaint(&path("none.csv"), &["--labels", "y"]).contains("No such file"));
    assert!(complaint(&path("none.npz"), &[]).contains("No such file"));
    assert!(complaint(&path("none.safetensors"), &[]).contains("No such file"));
    assert!(complaint(&path("table.xlsx"), &[]).contains("must end in .csv, .csv.gz, .parquet, .npz or .safetensors"));
    for name in ["broken.npz", "broken.safetensors", "broken.csv.gz"] {
        fs::write(path(name), "neither of these formats").unwrap();
        complaint(&path(name), &["--labels", "y"]);
    }
    fs::write(path("empty.csv"), "").unwrap();
    assert!(complaint(&path("empty.csv"), &["--labels", "y"]).contains("it is empty where a header was expected"));
    let data = Example::new(80).npz(folder.path());
    assert!(complaint(&data, &["--split", "part"]).contains("there is no array part"));
    assert!(complaint(&data, &["--labels", "y3"]).contains(r#"there is no column "y3"; there are y1, y2"#));
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let data = Example::new(80).npz(folder.path());
    let complaint = complaint(&data, &["--lr", "1e30", "--out", out.to_str().unwrap()]);
    assert!(complaint.contains("loss became NaN in epoch 1; a smaller --lr may help"), "{complaint}");
    let mut left: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["config.json", "run.toml", "split.csv"]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = complaint(&Example::new(80).npz(folder.path()), &["--device", "cuda:99"]);
    let expected = if tch::Cuda::is_available() { "there is no cuda:99" } else { "CUDA is not usable here" };
    assert!(complaint.contains(expected), "{complaint}");
}

#[test]
fn the_demonstration_shows_what_the_mask_is_for() {
    let output =
        Command::new(program()).args(["--hidden", "100", "--epochs", "8", "--device", "cpu"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let auroc = |name: &str| -> f64 {
        let line = printed.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{printed}"));
        line.split('┆').nth(1).unwrap().trim().parse().unwrap()
    };
    assert!(auroc("left out of the loss") > auroc("taken as negative") + 0.05, "{printed}");
    assert!(auroc("none, all are known") >= auroc("left out of the loss") - 0.02, "{printed}");
}

#[test]
fn the_policies_for_missing_labels_come_out_as_published() {
    // Cole et al. 2021: hidden at random, missing labels are best left out; with positives only, that teaches nothing.
    let output = Command::new(program())
        .args(["--policies", "--hidden", "100", "--epochs", "6", "--device", "cpu"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let settings: Vec<&str> = printed.split("Of the labels").skip(1).collect();
    assert_eq!(settings.len(), 3, "{printed}");
    let auroc = |setting: &str, policy: &str| -> f64 {
        let line = setting.lines().find(|line| line.contains(&format!("│ {policy} "))).unwrap();
        line.split('┆').nth(1).unwrap().trim().parse().unwrap()
    };
    assert!(auroc(settings[0], "ignore") > auroc(settings[0], "negative"), "{printed}");
    assert!(auroc(settings[1], "ignore") > auroc(settings[1], "negative") + 0.02, "{printed}");
    assert!(auroc(settings[2], "ignore") < auroc(settings[2], "negative") - 0.1, "{printed}");
}

#[test]
fn every_loss_for_logits_trains() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    for loss in ["bce", "focal", "asymmetric"] {
        let metrics = metrics(&data, &["--loss", loss, "--missing", "self-paced"]);
        assert!(metrics["history"][0]["train_loss"].as_f64().unwrap() > 0.0, "{loss}: {metrics}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (flag, number) in [
        ("--hidden", "100000000000"),
        ("--threshold", "nan"),
        ("--threshold", "inf"),
        ("--missing-value", "inf"),
        ("--lr", "-1"),
    ] {
        let output = run(Path::new("table.csv"), &[flag, number]);
        assert_eq!(output.status.code(), Some(2));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains(&format!("invalid value '{number}' for '{flag}")), "{complaint}");
    }
}

#[test]
fn a_shape_too_large_to_count_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.npz");
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }");
    let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
    archive.start_file("X.npy", FileOptions::default()).unwrap();
    archive.write_all(&[b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat()).unwrap();
    archive.finish().unwrap();
    assert!(complaint(&path, &[]).ends_with("array X: its shape is too large\n"));
}

// Elsewhere memory may be promised that is not there.
#[cfg(target_os = "linux")]
#[test]
fn a_network_too_large_for_any_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let found = complaint(&Example::new(80).npz(folder.path()), &["--hidden", "1000000,1000000"]);
    assert!(found.starts_with("error: cannot make a network of 2 x 16 x 1000000 x 1000000 x 2 units"), "{found}");
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_unicode() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join(OsStr::from_bytes(b"\xff.npz")), folder.path().join("run"));
    fs::rename(Example::new(80).npz(folder.path()), &data).unwrap();
    let output = run(&data, &["--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    let source = &read_json(&out.join("config.json"))["source"];
    assert!(source["data"].as_str().unwrap().ends_with("/\u{fffd}.npz"), "{source}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program());
    command.args(["train", "--data"]).arg(data).args(SMALL).arg("--out").arg(&out).stdout(writer);
    assert!(command.status().unwrap().success());
    assert!(out.join("metrics.json").exists());
}

#[test]
fn a_flag_that_needs_a_table_asks_for_it() {
    let output = Command::new(program()).args(["train", "--threshold", "0.5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--data <FILE>"));
}
