//! Options in a file.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{bits, finish, program, read_json, sentence, train};
use crate::tables::Example;

/// With the options that a run left in its folder.
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

    // What a run was given and what it took by default can be given again, and the command line overrides it.
    let other = folder.path().join("other");
    finish(repeat(&out, &other).args(["--hidden", "5", "--folds", "4", "--fold", "2"]));
    let resolved = read_json(&other.join("config.json"));
    assert_eq!(resolved["training"]["hidden"], serde_json::json!([5]));
    assert_eq!(resolved["splitting"]["folds"], 4);
    finish(&mut repeat(&other, &folder.path().join("fold")));
    let again = folder.path().join("again");
    finish(&mut repeat(&out, &again));
    assert!(bits(&again) == bits(&out));

    fs::write(&config, "lr = [").unwrap();
    assert!(sentence(program().args(["train", "--config"]).arg(&config)).contains("run.toml"));
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
    // The weights hold the checksum of the options, which differ here.
    finish(train(&data, &["--labels", r#""2,4-D""#, "--labels", "y2", "--out"]).arg(&again));
    assert!(bits(&again)[1] == bits(&out)[1]);
}
