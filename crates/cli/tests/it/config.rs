//! Options in a file.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::program::{SMALL, bits, finish, printed, program, read_json, sentence, train};
use crate::tables::Example;

/// Repeats a run with the options in its folder.
fn repeat(run: &Path, out: &Path) -> Command {
    let mut command = program();
    command.args(["train", "--config"]).arg(run.join("run.toml")).arg("--out").arg(out);
    command
}

#[test]
fn options_may_stand_in_a_file_and_the_command_line_overrides_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let [out, config] = ["run", "run.toml"].map(|name| folder.path().join(name));
    fs::write(&config, "lr = 0.5\nhidden = [8, 4]\nbalanced = true\nguard = false\nbatch_size = 7\n").unwrap();
    let mut command = program();
    command.args(["train", "--data"]).arg(&data).arg("--out").arg(&out).arg("--config").arg(&config);
    finish(command.args(["--lr", "0.25", "--epochs", "1"]));
    let training = &read_json(&out.join("config.json"))["training"];
    assert_eq!(training["lr"], 0.25);
    assert_eq!(training["hidden"], serde_json::json!([8, 4]));
    assert_eq!((&training["balanced"], &training["guard"]), (&true.into(), &false.into()));
    assert_eq!(training["batch_size"], 7);

    // A run's options, defaults included, can be used again, and the command line overrides them.
    let other = folder.path().join("other");
    finish(repeat(&out, &other).args(["--hidden", "5", "--folds", "4", "--fold", "2"]));
    let resolved = read_json(&other.join("config.json"));
    assert_eq!(resolved["training"]["hidden"], serde_json::json!([5]));
    assert_eq!(resolved["splitting"]["folds"], 4);
    finish(&mut repeat(&other, &folder.path().join("fold")));
    let again = folder.path().join("again");
    finish(&mut repeat(&out, &again));
    assert!(bits(&again) == bits(&out));

    // If an option is repeated, the last one counts, including lists and files.
    finish(repeat(&out, &other).args(["--config"]).arg(&config).args(["--data"]).arg(&data).args(["--epochs", "1"]));
    let training = &read_json(&other.join("config.json"))["training"];
    assert_eq!((&training["lr"], &training["hidden"]), (&0.5.into(), &serde_json::json!([8, 4])));
    finish(repeat(&out, &other).args(["--hidden", "8,4", "--hidden", "3,2"]));
    assert_eq!(read_json(&other.join("config.json"))["training"]["hidden"], serde_json::json!([3, 2]));
    let mut compare = program();
    compare.args(["compare", "--data"]).arg(&data).args(SMALL).args(["--seeds", "1", "--losses", "hill", "--losses"]);
    let compared = printed(compare.args(["bce,focal", "--policies", "negative", "--policies", "ignore"]));
    assert!(!compared.contains("hill") && !compared.contains("missing: negative"), "{compared}");
    assert!(compared.contains("bce, missing: ignore") && compared.contains("focal, missing: ignore"), "{compared}");
    assert!(printed(program().args(["inspect", "--data", "none.npz", "--data"]).arg(&data)).contains("80 rows"));
}

#[test]
fn another_way_to_split_leaves_the_groups_and_another_fold_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let [grouped, out] = ["grouped", "out"].map(|name| folder.path().join(name));
    let table = Example::new(80).with_column("g", |row| (row % 29).to_string()).csv(folder.path());
    finish(train(&table, &["--labels", "y*", "--group", "g", "--folds", "4", "--fold", "1", "--out"]).arg(&grouped));
    for (options, folds) in
        [(["--fold", "3"], serde_json::json!(4)), (["--fractions", "0.6,0.2,0.2"], serde_json::Value::Null)]
    {
        finish(repeat(&grouped, &out).args(options));
        let config = read_json(&out.join("config.json"));
        assert_eq!((&config["source"]["group"], &config["splitting"]["folds"]), (&"g".into(), &folds), "{options:?}");
    }
}

#[test]
fn a_file_of_options_at_fault_is_named_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("run.toml");
    for (content, fault) in [
        ("lr = [", "invalid TOML"),
        ("depth = 3", "there is no option depth"),
        ("depth = false", "there is no option depth"),
        ("help = true", "there is no option help"),
        ("config = 'other.toml'", "config is not allowed in this file"),
        ("hidden = 'wide'", "hidden: invalid value 'wide' for '--hidden <WIDTH,...>': "),
        ("lr = true", "lr: a value is required for '--lr <LR>' but none was supplied"),
        ("lr = false", "lr: a value is required for '--lr <LR>' but none was supplied"),
        ("balanced = 3", "balanced: expected true or false, found \"3\""),
        ("balanced = 'true'", "balanced: expected true or false, found \"true\""),
        ("missing_value = 1\nmissing-value = 2", "missing-value and missing_value are the same option"),
        (
            "schedule = 'step'",
            "schedule: invalid value 'step' for '--schedule <SCHEDULE>' [possible values: constant, ",
        ),
        ("lr = 1979-05-27", "lr: expected a number, a string, true, false or a list, found a datetime"),
        ("[training]\nlr = 1", "training: expected a number, a string, true, false or a list, found a table"),
    ] {
        fs::write(&config, content).unwrap();
        let found = sentence(program().args(["train", "--config"]).arg(&config));
        let expected = format!("error: cannot use {}: {fault}", config.display());
        assert!(found.starts_with(&expected), "{content}: {found}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_the_files_of_a_run_cannot_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"caf\xe9.npz"));
    fs::rename(Example::new(80).npz(folder.path()), &odd).unwrap();
    let out = folder.path().join("out");
    let found = sentence(train(&odd, &["--out"]).arg(&out));
    assert!(found.contains("--out needs input paths in Unicode, found "), "{found}");
    assert!(!out.exists());
    finish(&mut train(&odd, &[]));
    let config = OsStr::from_bytes(b"--config=caf\xe9.toml");
    let found = sentence(program().arg("train").arg(config));
    assert_eq!(found, "error: --config=PATH needs a path in Unicode; --config PATH takes any\n");
}

#[test]
fn a_name_with_a_comma_is_given_and_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    fs::write(&data, fs::read_to_string(&data).unwrap().replacen("a,y1,b,y2", r#"a,"2,4-D",b,y2"#, 1)).unwrap();
    let [out, again] = ["out", "again"].map(|name| folder.path().join(name));
    finish(train(&data, &["--labels", r#""2,4-D",y*"#, "--out"]).arg(&out));
    assert_eq!(read_json(&out.join("config.json"))["outputs"], serde_json::json!(["2,4-D", "y2"]));
    finish(&mut repeat(&out, &again));
    assert!(bits(&again) == bits(&out));
    // The weights hold a checksum of the options, which differ here.
    finish(train(&data, &["--labels", r#""2,4-D""#, "--labels", "y2", "--out"]).arg(&again));
    assert!(bits(&again)[1] == bits(&out)[1]);
}
