//! Runs the program and reads its output.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A network that trains within a second.
pub const SMALL: &[&str] = &["--hidden", "16", "--epochs", "3", "--batch-size", "32", "--device", "cpu"];

/// With one thread: the tests run at the same time, and waiting threads would spin.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masked-loss"));
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// A small training run on a table.
pub fn train(data: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["train", "--data"]).arg(data).args(SMALL).args(arguments);
    command
}

/// Runs a command that must succeed.
pub fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The standard output of a successful command.
pub fn printed(command: &mut Command) -> String {
    String::from_utf8(finish(command).stdout).unwrap()
}

/// The one sentence of a command that must fail.
pub fn sentence(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}

/// The one sentence of a training run that must fail.
pub fn complaint(data: &Path, arguments: &[&str]) -> String {
    sentence(&mut train(data, arguments))
}

/// The message of clap for a command line that it refuses.
pub fn usage_error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    complaint
}

/// The `metrics.json` of a successful training run.
pub fn metrics(data: &Path, arguments: &[&str]) -> Value {
    let out = tempfile::tempdir().unwrap();
    finish(train(data, arguments).arg("--out").arg(out.path()));
    read_json(&out.path().join("metrics.json"))
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The bytes of the files by which two runs are compared.
pub fn bits(out: &Path) -> [Vec<u8>; 2] {
    ["weights.safetensors", "metrics.json"].map(|name| fs::read(out.join(name)).unwrap())
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
