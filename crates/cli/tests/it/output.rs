//! Standard output and standard error that are unread or full.

use std::process::{Command, Output, Stdio};

use crate::program::{SMALL, program, text};
use crate::tables::Example;

/// Runs a command line in a shell, in which `"$@"` is the program with these arguments.
fn shell(line: &str, arguments: &[&str]) -> Output {
    let program = program();
    let mut shell = Command::new("sh");
    shell.args(["-c", line, "sh"]).arg(program.get_program()).args(arguments).env("OMP_NUM_THREADS", "1");
    shell.stdin(Stdio::null()).output().unwrap()
}

/// The exit status of the program on the left of a pipe whose reader has gone.
const UNREAD: &str = r#"{ sleep 0.2; "$@"; echo "status $?" >&2; } | true"#;

#[test]
fn a_reader_that_stops_reading_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let source = ["--data", text(&data)];
    let train = [&["train"][..], &source, SMALL, &["--out", text(&out)]].concat();
    let commands = [
        vec!["--help"],
        vec!["train", "--help"],
        vec!["--version"],
        [&["inspect"][..], &source].concat(),
        train,
        [&["compare", "--seeds", "1"][..], &source, SMALL].concat(),
        [&["evaluate", text(&out)][..], &source].concat(),
    ];
    for command in commands {
        let done = shell(UNREAD, &command);
        assert_eq!(String::from_utf8_lossy(&done.stderr), "status 0\n", "{command:?}");
    }
    assert!(out.join("metrics.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_an_error_after_the_files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    let source = ["--data", text(&data)];
    let train = [&["train"][..], &source, SMALL].concat();
    for command in [
        vec!["--help"],
        vec!["--version"],
        [&["inspect"][..], &source].concat(),
        [&train[..], &["--out", text(&out)]].concat(),
        train,
        [&["evaluate", text(&out)][..], &source].concat(),
    ] {
        let done = shell(r#""$@" > /dev/full"#, &command);
        let sentence = "error: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!(String::from_utf8_lossy(&done.stderr), sentence, "{command:?}");
        assert_eq!(done.status.code(), Some(1), "{command:?}");
    }
    assert!(out.join("metrics.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_standard_error_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    // No label has the number, so a note is printed on standard error.
    let source = ["--data", text(&data), "--missing-value", "-77"];
    let train = [&["train"][..], &source, SMALL].concat();
    let commands = [
        (train.clone(), 0),
        ([&train[..], &["--labels", "none"]].concat(), 1),
        (vec!["train"], 2),
        (vec![], 2),
        (vec!["inspect", "--data", "none.csv"], 1),
        ([&["inspect"][..], &source].concat(), 0),
    ];
    for redirected in ["2> /dev/full", "2>&-", "2>&- >&- <&-"] {
        for (command, status) in &commands {
            let done = shell(&format!(r#""$@" {redirected}"#), command);
            assert_eq!(done.status.code(), Some(*status), "{command:?} {redirected}");
        }
    }
    // Both at once: the message cannot be printed.
    let done = shell(r#""$@" > /dev/full 2> /dev/full"#, &train);
    assert_eq!(done.status.code(), Some(1));
}
