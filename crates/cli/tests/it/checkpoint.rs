//! Training that is stopped or killed, then resumed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::program::{bits, finish, read_json, sentence, train};
use crate::tables::Example;

const LONG: &[&str] = &["--epochs", "12", "--guard", "--schedule", "cosine", "--warmup", "5", "--clip", "1"];

pub fn command(data: &Path, out: &Path, arguments: &[&str]) -> Command {
    let mut command = train(data, arguments);
    command.arg("--out").arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until the run has written its first checkpoint.
pub fn wait_for_checkpoint(child: &mut Child, out: &Path) {
    while !out.join("checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the first checkpoint");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_resumed_run_comes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    for optimizer in ["adam", "adamw", "sgd"] {
        let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(format!("{name}-{optimizer}")));
        let options =
            ["--optimizer", optimizer, "--weight-decay", "0.01", "--balanced", "--micro-batch", "10", "--threads", "2"];
        finish(&mut command(&data, &whole, &[&options[..], &["--epochs", "6"]].concat()));
        finish(&mut command(&data, &parts, &[&options[..], &["--epochs", "2"]].concat()));
        assert_ne!(bits(&parts), bits(&whole));
        finish(&mut command(&data, &parts, &[&options[..], &["--epochs", "6", "--resume"]].concat()));
        assert!(bits(&parts) == bits(&whole), "{optimizer}");
    }
}

/// Ctrl-C, and the signal that Slurm and containers send.
#[test]
fn an_interrupted_run_ends_after_the_step_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(2000).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(&mut command(&data, &whole, LONG));
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = command(&data, &parts, LONG).spawn().unwrap();
        wait_for_checkpoint(&mut child, &parts);
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("--resume continues the run"), "it was too fast for the interrupt: {printed}");
        assert_eq!(output.status.code(), Some(status), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!parts.join("metrics.json").exists());
        finish(&mut command(&data, &parts, &[LONG, &["--resume"]].concat()));
        assert!(bits(&parts) == bits(&whole));
        fs::remove_dir_all(&parts).unwrap();
    }
}

/// `MASKED_LOSS_KILLS=1000` kills it a thousand times.
#[test]
fn a_run_killed_at_any_moment_can_be_resumed() {
    let kills: u64 = std::env::var("MASKED_LOSS_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let epochs = kills.to_string();
    let long = [LONG, &["--epochs", &epochs]].concat();
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(2000).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(&mut command(&data, &whole, &long));
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
        // It was killed, or its last epoch ended; it never fails for lack of a checkpoint.
        assert!(output.status.code().is_none_or(|code| code == 0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    finish(&mut command(&data, &parts, &[&long[..], &["--resume"]].concat()));
    assert!(bits(&parts) == bits(&whole));
}

#[test]
fn where_no_more_can_be_written_the_last_checkpoint_stays() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    finish(&mut command(&data, &whole, &["--epochs", "6"]));
    finish(&mut command(&data, &parts, &["--epochs", "2"]));
    let checkpoint = parts.join("checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    // A limit on the length of files: a write fails half-way, as on a full disk.
    let blocks = before.len() as u64 / 2 / 512;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let resume = command(&data, &parts, &["--epochs", "6", "--resume"]);
    let output =
        Command::new("sh").args(["-c", &limited, "sh"]).arg(resume.get_program()).args(resume.get_args()).output();
    let output = output.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("cannot write") && complaint.contains("checkpoint.safetensors"), "{complaint}");
    assert!(fs::read(&checkpoint).unwrap() == before);
    let left = fs::read_dir(&parts).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.')).collect::<Vec<_>>(), [".lock"]);
    finish(&mut command(&data, &parts, &["--epochs", "6", "--resume"]));
    assert!(bits(&parts) == bits(&whole));
}

#[test]
fn what_cannot_be_resumed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let complaint = |arguments: &[&str]| sentence(&mut command(&data, &out, arguments));
    assert!(complaint(&["--resume"]).contains("cannot resume from"));
    finish(&mut command(&data, &out, &[]));
    assert!(complaint(&["--resume", "--lr", "0.5"]).contains("made with different options"));
    let csv = Example::new(80).csv(folder.path());
    let renamed = folder.path().join("renamed.csv");
    fs::write(&renamed, fs::read_to_string(&csv).unwrap().replacen("a,y1,b,y2", "a,y2,b,y1", 1)).unwrap();
    let named = folder.path().join("named");
    finish(&mut command(&csv, &named, &["--labels", "y*"]));
    let found = sentence(&mut command(&renamed, &named, &["--labels", "y*", "--epochs", "4", "--resume"]));
    assert!(found.contains(r#"a different table: outputs in config.json is ["y1","y2"], now ["y2","y1"]"#), "{found}");
    // The names are the same, and one cell differs.
    let mut other = Example::new(80);
    other.labels[49][1] = other.labels[49][1].map(|label| 1.0 - label);
    let other = other.npz(&named);
    let found = sentence(&mut command(&other, &out, &["--epochs", "4", "--resume"]));
    assert!(found.contains("a different table: its cells or their types differ"), "{found}");
    let checkpoint = out.join("checkpoint.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    for damaged in [&whole[..whole.len() / 2], &whole[..20], b""] {
        fs::write(&checkpoint, damaged).unwrap();
        let found = complaint(&["--resume"]);
        assert!(found.contains("cannot resume from"), "{found}");
    }
}

#[test]
fn half_precision_learns_and_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(600).npz(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let options = ["--precision", "bf16", "--lr", "0.01", "--epochs"];
    finish(&mut command(&data, &whole, &[&options[..], &["20"]].concat()));
    finish(&mut command(&data, &parts, &[&options[..], &["7"]].concat()));
    finish(&mut command(&data, &parts, &[&options[..], &["20", "--resume"]].concat()));
    assert!(bits(&parts) == bits(&whole));
    assert!(read_json(&whole.join("metrics.json"))["test"]["macro_auroc"].as_f64().unwrap() > 0.9);
    let full = folder.path().join("full");
    finish(&mut command(&data, &full, &["--lr", "0.01", "--epochs", "20"]));
    assert!(bits(&full)[0] != bits(&whole)[0]);
}
