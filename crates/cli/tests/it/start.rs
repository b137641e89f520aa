//! How the program starts.

use crate::program::{printed, program, usage_error};

#[test]
fn without_a_command_it_prints_the_help() {
    let help = usage_error(&mut program());
    assert!(help.contains("Usage: masked-loss <COMMAND>"), "{help}");
    for command in ["inspect", "train", "evaluate", "predict", "compare", "demo"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{help}");
    }
    assert!(printed(program().arg("--version")).starts_with("masked-loss "));
}

/// build.rs sets the program's path to libtorch.
#[test]
fn it_needs_no_library_path() {
    let mut command = program();
    command.env_remove("LD_LIBRARY_PATH").env_remove("DYLD_LIBRARY_PATH");
    let options = ["--hidden", "4", "--epochs", "1", "--batch-size", "2000", "--device", "cpu"];
    let printed = printed(command.arg("demo").args(options));
    assert!(printed.contains("left out of the loss"), "{printed}");
}
