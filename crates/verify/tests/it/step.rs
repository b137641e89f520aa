//! `masked-loss-verify step`: one line of JSON for each command.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use tch::{Device, Kind, Tensor};

use crate::{PROGRAM, folder};

const ROWS: i64 = 8;
const LABELS: i64 = 3;

/// The program's answers on a table of two batches.
fn answers(name: &str, commands: &str) -> Output {
    let file = folder(&format!("step-{name}")).join("table");
    tch::manual_seed(0);
    let random = |size: &[i64]| Tensor::rand(size, (Kind::Float, Device::Cpu));
    let size = [2 * ROWS, LABELS];
    let labels = random(&size).round().masked_fill(&random(&size).lt(0.5), f64::NAN);
    let tensors = [
        ("logits", random(&[ROWS, LABELS])),
        ("labels", labels),
        ("indices", Tensor::arange(2 * ROWS, (Kind::Int64, Device::Cpu)).view([2, ROWS])),
        ("row_weights", random(&[2 * ROWS])),
        ("label_weights", random(&[LABELS])),
    ];
    Tensor::write_safetensors(&tensors, &file).unwrap();
    let mut program = Command::new(PROGRAM)
        .args(["step", "--loss", "bce", "--threads", "1"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    program.wait_with_output().unwrap()
}

fn numbers(line: &str) -> Vec<f64> {
    let list = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).unwrap_or_else(|| panic!("{line}"));
    list.split(',').map(|number| number.parse().unwrap()).collect()
}

#[test]
fn checks_agree() {
    let done = answers("checks", "check raw\ncheck raw-nan\ncheck rows-mean\ncheck cached-mean\n");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).unwrap();
    let checks: Vec<_> = lines.lines().map(numbers).collect();
    assert_eq!(checks.len(), 4);
    for check in &checks {
        assert!(check.iter().zip(&checks[0]).all(|(a, b)| *a > 0.0 && (a - b).abs() < 1e-6 * b), "{checks:?}");
    }
}

#[test]
fn times() {
    let done = answers("times", "time raw 3\ntime from-mask 2\ntime bandwidth-9 4\ntime bandwidth-13 1\n");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).unwrap();
    let counts: Vec<_> = lines.lines().map(|line| numbers(line).len()).collect();
    assert_eq!(counts, [3, 2, 4, 1]);
}

#[test]
fn bad_commands() {
    let cases = [
        ("check nothing", "there is no case `nothing`"),
        ("check rows-median", "there is no reduction `median`"),
        ("time raw 0", "expected K above 0: time raw 0"),
        ("step raw", "unknown command: step raw"),
    ];
    for (command, message) in cases {
        let done = answers("bad", &format!("{command}\n"));
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains(message), "{command}: {said}");
    }
}
