//! Standard output and standard error that are unread or full.

use std::path::PathBuf;
use std::process::{Command, Output};

use tch::Tensor;

use crate::{PROGRAM, folder};

/// Runs a command line in a shell, in which `"$@"` is the program with these arguments.
fn shell(line: &str, arguments: &[&str]) -> Output {
    Command::new("sh").args(["-c", line, "sh", PROGRAM]).args(arguments).output().unwrap()
}

/// A file for `metrics`.
fn scores(name: &str) -> PathBuf {
    let file = folder(&format!("output-{name}")).join("scores");
    let column = |values: &[f32]| Tensor::from_slice(values).view([-1, 1]);
    let tensors = [("scores", column(&[0.2, 0.8, 0.6])), ("labels", column(&[0.0, 1.0, f32::NAN]))];
    Tensor::write_safetensors(&tensors, &file).unwrap();
    file
}

#[test]
fn a_reader_that_stops_reading_is_no_fault() {
    let file = scores("unread");
    for command in [&["metrics", file.to_str().unwrap()][..], &["--help"]] {
        let done = shell(r#"{ sleep 0.2; "$@"; echo "status $?" >&2; } | true"#, command);
        assert_eq!(String::from_utf8_lossy(&done.stderr), "status 0\n", "{command:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_an_error() {
    let file = scores("full");
    for command in [&["metrics", file.to_str().unwrap()][..], &["--help"]] {
        let done = shell(r#""$@" > /dev/full"#, command);
        let sentence = "cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!(String::from_utf8_lossy(&done.stderr), sentence, "{command:?}");
        assert_eq!(done.status.code(), Some(1), "{command:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_standard_error_changes_nothing() {
    let file = scores("error");
    let commands = [(&["metrics", file.to_str().unwrap()][..], 0), (&["metrics", "none"], 1), (&["metrics"], 2)];
    for redirected in ["2> /dev/full", "2>&-", "2>&- >&- <&-"] {
        for (command, status) in commands {
            let done = shell(&format!(r#""$@" {redirected}"#), command);
            assert_eq!(done.status.code(), Some(status), "{command:?} {redirected}");
        }
    }
}
