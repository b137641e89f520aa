//! The folder of a run, whatever happens to the run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::checkpoint::{command, wait_for_checkpoint};
use crate::program::{bits, finish, program, read_json, sentence};
use crate::tables::Example;

/// A run that takes minutes.
fn endless(data: &Path, out: &Path, arguments: &[&str]) -> Child {
    command(data, out, &[&["--epochs", "100000"], arguments].concat()).spawn().unwrap()
}

fn predict(data: &Path, out: &Path, to: &Path) -> Command {
    let mut command = program();
    command.arg("predict").arg(out).args(["--device", "cpu", "--data"]).arg(data).arg("--to").arg(to);
    command
}

#[test]
fn one_run_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let [out, link] = ["run", "link"].map(|name| folder.path().join(name));
    let mut first = endless(&data, &out, &[]);
    wait_for_checkpoint(&mut first, &out);
    std::os::unix::fs::symlink(&out, &link).unwrap();
    let files = || fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for (path, arguments) in [(&out, &[][..]), (&out, &["--resume"]), (&link, &["--lr", "0.5"])] {
        let found = sentence(&mut command(&data, path, arguments));
        assert!(found.ends_with(&format!(".lock: another run is writing to {}\n", path.display())), "{found}");
    }
    let found = sentence(&mut predict(&data, &out, &folder.path().join("p.csv")));
    assert!(found.contains("it is not finished; train --resume finishes it, unless it is still running"), "{found}");
    assert!(first.try_wait().unwrap().is_none(), "the others disturbed it");
    // The lock ends with the process; its file stays.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(files().contains(&".lock".into()));
    let found = sentence(&mut command(&data, &out, &["--resume"]));
    assert!(found.contains("--epochs 3 is below the "), "{found}");
    finish(&mut command(&data, &out, &[]));
}

#[test]
fn what_another_program_writes_is_not_swept() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    for name in [".partial-x", ".writing-x"] {
        fs::create_dir_all(out.join(name)).unwrap();
    }
    finish(&mut command(&data, &out, &[]));
    assert!(!out.join(".partial-x").exists() && out.join(".writing-x").exists());
}

#[test]
fn a_run_that_was_resumed_and_killed_is_not_complete() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let out = folder.path().join("run");
    finish(&mut command(&data, &out, &[]));
    let before = fs::read(out.join("checkpoint.safetensors")).unwrap();
    let mut resumed = endless(&data, &out, &["--resume"]);
    while fs::read(out.join("checkpoint.safetensors")).unwrap() == before {
        assert!(resumed.try_wait().unwrap().is_none(), "it ended before the next checkpoint");
    }
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    assert_eq!(read_json(&out.join("config.json"))["training"]["epochs"], 100_000);
    for name in ["metrics.json", "weights.safetensors", "report.html", "predictions.csv"] {
        assert!(!out.join(name).exists(), "{name} is of the run before");
    }
}

#[test]
fn a_refused_resumption_leaves_a_finished_run_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let out = folder.path().join("run");
    finish(&mut command(&data, &out, &["--epochs", "3"]));
    let contents = || -> Vec<_> {
        let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect()
    };
    let before = contents();
    for arguments in [["--epochs", "2", "--resume"], ["--lr", "0.5", "--resume"], ["--seed", "1", "--resume"]] {
        let found = sentence(&mut command(&data, &out, &arguments));
        assert!(arguments[1] != "2" || found.contains("--epochs 2 is below the 3 epochs trained already"), "{found}");
    }
    assert!(contents() == before);
    // The same number of epochs is no change.
    let weights = bits(&out);
    finish(&mut command(&data, &out, &["--epochs", "3", "--resume"]));
    assert!(bits(&out) == weights);
}

/// Every single bit of the headers, and some of the weights.
#[test]
fn a_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let [out, to] = ["run", "p.csv"].map(|name| folder.path().join(name));
    finish(&mut command(&data, &out, &[]));
    let flip = |name: &str, mut refused: Command, offsets: &[usize]| {
        let path = out.join(name);
        let whole = fs::read(&path).unwrap();
        for (place, &offset) in offsets.iter().enumerate() {
            let mut damaged = whole.clone();
            damaged[offset.min(whole.len() - 1)] ^= 1 << (place % 8);
            fs::write(&path, damaged).unwrap();
            let found = sentence(&mut refused);
            assert!(found.starts_with("error: cannot "), "{name} at {offset}: {found}");
        }
        fs::write(&path, whole).unwrap();
    };
    let spread: Vec<usize> = [0, 7, 8, 9, 20, 40, 70, 100, 130, 170, 220, 300, 400, 600, usize::MAX].to_vec();
    for name in ["weights.safetensors", "config.json"] {
        flip(name, predict(&data, &out, &to), &spread);
    }
    flip("checkpoint.safetensors", command(&data, &out, &["--epochs", "4", "--resume"]), &spread);
    let mut predict = predict(&data, &out, &to);
    finish(predict.stdout(Stdio::null()));
}

#[test]
fn what_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let none = folder.path().join("none");
    let found = sentence(&mut command(&data, &none, &["--resume"]));
    assert!(found.starts_with(&format!("error: cannot resume from {}", none.display())), "{found}");
    assert!(!none.exists());
    let found = sentence(&mut command(&data, &data, &[]));
    assert_eq!(found, format!("error: {}: expected a folder, found a file\n", data.display()));
}
