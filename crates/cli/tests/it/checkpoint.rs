//! Training that is stopped, killed, gone on with, and used.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

mod tables;
use tables::{Example, SMALL, program, read_json};

const LONG: &[&str] = &["--epochs", "12", "--guard", "--schedule", "cosine", "--warmup", "5", "--clip", "1"];

fn command(data: &Path, out: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(["train", "--data"]).arg(data).args(SMALL).args(arguments).arg("--out").arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The bits of what a run leaves to be used.
fn bits(out: &Path) -> [Vec<u8>; 2] {
    ["weights.safetensors", "metrics.json"].map(|name| fs::read(out.join(name)).unwrap())
}

/// Waits until the run has left a first checkpoint.
fn wait_for_checkpoint(child: &mut Child, out: &Path) {
    while !out.join("checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the first checkpoint");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_run_that_goes_on_comes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    for optimizer in ["adam", "adamw", "sgd"] {
        let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(format!("{name}-{optimizer}")));
        let options = ["--optimizer", optimizer, "--weight-decay", "0.01", "--balanced", "--micro-batch", "10"];
        finish(command(&data, &whole, &[&options[..], &["--epochs", "6"]].concat()));
        finish(command(&data, &parts, &[&options[..], &["--epochs", "2"]].concat()));
        assert_ne!(bits(&parts), bits(&whole));
        finish(command(&data, &parts, &[&options[..], &["--epochs", "6", "--resume"]].concat()));
        assert!(bits(&parts) == bits(&whole), "{optimizer}");
    }
}

#[test]
fn an_interrupt_ends_after_the_step_and_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(2000).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(command(&data, &whole, LONG));
    let mut child = command(&data, &parts, LONG).spawn().unwrap();
    wait_for_checkpoint(&mut child, &parts);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("--resume goes on"), "it was too fast for the interrupt: {printed}");
    assert!(!parts.join("metrics.json").exists());
    finish(command(&data, &parts, &[LONG, &["--resume"]].concat()));
    assert!(bits(&parts) == bits(&whole));
}

/// `MASKED_LOSS_KILLS=1000` kills as often.
#[test]
fn killed_at_any_moment_it_can_be_gone_on_with() {
    let kills: u64 = std::env::var("MASKED_LOSS_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let epochs = kills.to_string();
    let long = [LONG, &["--epochs", &epochs]].concat();
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(2000).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(command(&data, &whole, &long));
    for kill in 0..kills {
        let resume = parts.join("checkpoint.safetensors").exists();
        let arguments = if resume { [&long[..], &["--resume"]].concat() } else { long.clone() };
        let mut child = command(&data, &parts, &arguments).spawn().unwrap();
        if !resume {
            wait_for_checkpoint(&mut child, &parts);
        }
        sleep(Duration::from_millis(150 + 17 * (kill % 12)));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        // Killed, or at the end of the last epoch: never for want of something to go on from.
        assert!(output.status.code().is_none_or(|code| code == 0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    finish(command(&data, &parts, &[&long[..], &["--resume"]].concat()));
    assert!(bits(&parts) == bits(&whole));
}

#[test]
fn where_no_more_can_be_written_the_last_checkpoint_stays() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(command(&data, &whole, &["--epochs", "6"]));
    finish(command(&data, &parts, &["--epochs", "2"]));
    let checkpoint = parts.join("checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    // A limit on the length of files: a write fails half-way, as on a full disk.
    let blocks = before.len() as u64 / 2 / 512;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let go_on = command(&data, &parts, &["--epochs", "6", "--resume"]);
    let output =
        Command::new("sh").args(["-c", &limited, "sh"]).arg(go_on.get_program()).args(go_on.get_args()).output();
    let output = output.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("cannot write") && complaint.contains("checkpoint.safetensors"), "{complaint}");
    assert!(fs::read(&checkpoint).unwrap() == before);
    let left = fs::read_dir(&parts).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.')).collect::<Vec<_>>(), [""; 0]);
    finish(command(&data, &parts, &["--epochs", "6", "--resume"]));
    assert!(bits(&parts) == bits(&whole));
}

#[test]
fn what_cannot_be_gone_on_with_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let complaint = |arguments: &[&str]| {
        let output = command(&data, &out, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(&["--resume"]).contains("cannot go on from"));
    finish(command(&data, &out, &[]));
    assert!(complaint(&["--resume", "--lr", "0.5"]).contains("of a run with other options"));
    let csv = Example::new(80).csv(folder.path());
    let renamed = folder.path().join("renamed.csv");
    fs::write(&renamed, fs::read_to_string(&csv).unwrap().replacen("a,y1,b,y2", "a,y2,b,y1", 1)).unwrap();
    let named = folder.path().join("named");
    finish(command(&csv, &named, &["--labels", "y*"]));
    let output = command(&renamed, &named, &["--labels", "y*", "--epochs", "4", "--resume"]).output().unwrap();
    let found = String::from_utf8(output.stderr).unwrap();
    assert!(found.contains(r#"another table: outputs in config.json is ["y1","y2"], now ["y2","y1"]"#), "{found}");
    // The names are the same, and one cell is another.
    let mut other = Example::new(80);
    other.labels[49][1] = other.labels[49][1].map(|label| 1.0 - label);
    let other = other.npz(&named);
    let output = command(&other, &out, &["--epochs", "4", "--resume"]).output().unwrap();
    let found = String::from_utf8(output.stderr).unwrap();
    assert!(found.contains("another table: its cells differ"), "{found}");
    let checkpoint = out.join("checkpoint.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    for damaged in [&whole[..whole.len() / 2], &whole[..20], b""] {
        fs::write(&checkpoint, damaged).unwrap();
        let found = complaint(&["--resume"]);
        assert!(found.contains("cannot go on from") && found.lines().count() == 1, "{found}");
    }
}

#[test]
fn a_trained_network_scores_and_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).csv(folder.path());
    let out = folder.path().join("run");
    finish(command(&data, &out, &["--labels", "y*"]));
    let apply = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(program());
        command.arg(name).arg(&out).arg("--data").arg(&data).args(["--device", "cpu"]).args(arguments);
        command.output().unwrap()
    };
    let scored = apply("evaluate", &["--labels", "y*"]);
    assert!(String::from_utf8(scored.stdout).unwrap().contains("macro, 2 of 2 labels"));

    let [csv, npz] = ["to/p.csv", "to/p.npz"].map(|name| folder.path().join(name));
    for to in [&csv, &npz] {
        let done = apply("predict", &["--labels", "y*", "--to", to.to_str().unwrap()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
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

    let wrong = apply("evaluate", &["--labels", "y1", "--ignore", "y2"]);
    assert_eq!(wrong.status.code(), Some(1));
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert!(text.contains(r#"trained on the labels ["y1", "y2"], and the table has ["y1"]"#), "{text}");
}

#[test]
fn losses_and_policies_are_compared_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let mut command = Command::new(program());
    command.args(["compare", "--data"]).arg(&data).args(SMALL).args(["--seeds", "2", "--losses", "bce,focal"]);
    let printed = String::from_utf8(finish(command).stdout).unwrap();
    for row in ["bce, missing: ignore", "bce, missing: negative", "focal, missing: ignore", "focal, missing: negative"]
    {
        let line = printed.lines().find(|line| line.contains(row)).unwrap_or_else(|| panic!("{printed}"));
        assert!(line.contains('±'), "{line}");
    }
}

#[test]
fn options_may_stand_in_a_file_and_the_command_line_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let [out, config] = ["run", "run.toml"].map(|name| folder.path().join(name));
    fs::write(&config, "lr = 0.5\nhidden = [8, 4]\nbalanced = true\nguard = false\nbatch_size = 7\n").unwrap();
    let mut command = Command::new(program());
    command.args(["train", "--data"]).arg(&data).arg("--out").arg(&out).arg("--config").arg(&config);
    finish({
        command.args(["--lr", "0.25", "--epochs", "1"]);
        command
    });
    let training = &read_json(&out.join("config.json"))["training"];
    assert_eq!(training["lr"], 0.25);
    assert_eq!(training["hidden"], serde_json::json!([8, 4]));
    assert_eq!((&training["balanced"], &training["guard"]), (&true.into(), &false.into()));
    assert_eq!(training["batch_size"], 7);

    // What the run was told and what it took by default can be told again, and the command line comes before it.
    let mut command = Command::new(program());
    let other = folder.path().join("other");
    finish({
        command.args(["train", "--config"]).arg(out.join("run.toml")).arg("--out").arg(&other);
        command.args(["--hidden", "5", "--folds", "4", "--fold", "2"]);
        command
    });
    let resolved = read_json(&other.join("config.json"));
    assert_eq!(resolved["training"]["hidden"], serde_json::json!([5]));
    assert_eq!(resolved["splitting"]["folds"], 4);
    let mut command = Command::new(program());
    finish({
        command.args(["train", "--config"]).arg(other.join("run.toml")).arg("--out").arg(folder.path().join("fold"));
        command
    });
    let again = folder.path().join("again");
    let mut command = Command::new(program());
    finish({
        command.args(["train", "--config"]).arg(out.join("run.toml")).arg("--out").arg(&again);
        command
    });
    assert!(bits(&again) == bits(&out));

    fs::write(&config, "lr = [").unwrap();
    let mut command = Command::new(program());
    let output = command.args(["train", "--config"]).arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("run.toml"));
}

#[test]
fn a_name_with_a_comma_is_told_and_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    fs::write(&data, fs::read_to_string(&data).unwrap().replacen("a,y1,b,y2", r#"a,"2,4-D",b,y2"#, 1)).unwrap();
    let [out, again] = ["out", "again"].map(|name| folder.path().join(name));
    finish(command(&data, &out, &["--labels", r#""2,4-D",y*"#]));
    assert_eq!(read_json(&out.join("config.json"))["outputs"], serde_json::json!(["2,4-D", "y2"]));
    let mut command = Command::new(program());
    command.args(["train", "--config"]).arg(out.join("run.toml")).arg("--out").arg(&again);
    finish(command);
    assert!(bits(&again) == bits(&out));
    finish(self::command(&data, &again, &["--labels", r#""2,4-D""#, "--labels", "y2"]));
    assert!(bits(&again) == bits(&out));
}

#[test]
fn half_precision_learns_and_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(600).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let options = ["--precision", "bf16", "--lr", "0.01", "--epochs"];
    finish(command(&data, &whole, &[&options[..], &["20"]].concat()));
    finish(command(&data, &parts, &[&options[..], &["7"]].concat()));
    finish(command(&data, &parts, &[&options[..], &["20", "--resume"]].concat()));
    assert!(bits(&parts) == bits(&whole));
    assert!(read_json(&whole.join("metrics.json"))["test"]["macro_auroc"].as_f64().unwrap() > 0.9);
    let full = folder.path().join("full");
    finish(command(&data, &full, &["--lr", "0.01", "--epochs", "20"]));
    assert!(bits(&full)[0] != bits(&whole)[0]);
}
