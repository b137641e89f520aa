//! `compare`: losses and policies, over several seeds.

use crate::program::{SMALL, printed, program, sentence, usage_error};
use crate::tables::Example;

#[test]
fn losses_and_policies_are_compared_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let options = ["--seeds", "2", "--losses", "bce,focal"];
    let printed = printed(program().args(["compare", "--data"]).arg(&data).args(SMALL).args(options));
    for row in ["bce, missing: ignore", "bce, missing: negative", "focal, missing: ignore", "focal, missing: negative"]
    {
        let line = printed.lines().find(|line| line.contains(row)).unwrap_or_else(|| panic!("{printed}"));
        assert!(line.contains('±'), "{line}");
    }
}

#[test]
fn losses_are_compared_on_a_fold_of_sparse_features() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let (labels, features) = (example.sparse_labels(folder.path()), example.sparse_features(folder.path()));
    let mut command = program();
    command.args(["compare", "--data"]).arg(&labels).arg("--features").arg(&features).args(SMALL);
    let printed = printed(command.args(["--seeds", "2", "--folds", "4", "--fold", "4", "--standardize"]));
    assert_eq!(printed.matches('±').count(), 4, "{printed}");
}

#[test]
fn one_loss_and_one_policy_are_compared_as_train_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let compared = |options: &[&str]| {
        let mut command = program();
        command.args(["compare", "--seeds", "1", "--data"]).arg(&data).args(SMALL).args(options);
        command
    };
    let found = printed(&mut compared(&["--loss", "hill", "--missing", "half"]));
    assert!(found.contains("hill, missing: half") && found.matches("missing: ").count() == 1, "{found}");
    for (given, options) in [
        ("--losses", ["--loss", "hill", "--losses", "bce"]),
        ("--policies", ["--missing", "half", "--policies", "ignore"]),
    ] {
        let complaint = usage_error(&mut compared(&options));
        assert!(complaint.contains("cannot be used with") && complaint.contains(given), "{complaint}");
    }
}

#[test]
fn what_is_compared_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    for (option, names, twice) in
        [("--losses", "bce,focal,bce", "bce"), ("--policies", "ignore,negative,ignore", "ignore")]
    {
        let found = sentence(program().args(["compare", "--data"]).arg(&data).args([option, names]));
        assert_eq!(found, format!("error: {option} names {twice} twice\n"));
    }
}
