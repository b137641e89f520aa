//! Losses and policies with settings.

use std::path::Path;

use serde_json::Value;

use crate::program::{metrics, printed, program, sentence, train, usage_error};
use crate::tables::Example;

/// The losses of each epoch.
fn history(data: &Path, arguments: &[&str]) -> Value {
    metrics(data, arguments)["history"].take()
}

/// The losses that `train --help` lists, with their settings.
fn listed() -> Vec<(String, Vec<String>)> {
    let help = printed(program().args(["train", "--help"]));
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = help.split_once("Losses and their settings: ").unwrap_or_else(|| panic!("{help}"));
    let (list, _) = rest.split_once(" [default: bce]").unwrap();
    let each = list.split("),").map(|loss| {
        let (name, settings) = loss.trim().trim_end_matches(')').split_once(" (").unwrap();
        (name.to_owned(), settings.split(", ").map(str::to_owned).collect())
    });
    each.collect()
}

#[test]
fn every_loss_for_logits_trains_and_every_setting_counts() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let losses = listed();
    let expected = masked_loss::catalogue()
        .into_iter()
        .filter(|named| named.input_range == (f64::NEG_INFINITY..=f64::INFINITY) && named.label_range == (0.0..=1.0));
    let expected = expected.map(|named| named.name);
    assert_eq!(losses.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for (name, settings) in losses {
        assert!(!settings.is_empty(), "{name}");
        let plain = history(&data, &["--loss", &name, "--missing", "self-paced"]);
        assert!(plain[0]["train_loss"].as_f64().unwrap() > 0.0, "{name}: {plain}");
        for setting in settings {
            let value = if setting == "detach_weights" { "true" } else { "0.75" };
            let with = history(&data, &["--loss", &format!("{name}:{setting}={value}"), "--missing", "self-paced"]);
            assert!(with[0]["train_loss"].is_f64(), "{name}:{setting}: {with}");
            assert_ne!(with, plain, "{name}:{setting}");
        }
    }
}

/// Settings with which two objectives are the same one.
#[test]
fn settings_mean_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    for (loss, missing, same_loss, same_missing) in [
        ("focal:gamma=2:alpha=0.25", "ignore", "focal", "ignore"),
        ("bce:label_smoothing=0", "ignore", "bce", "ignore"),
        ("bce", "half:label=0", "bce", "negative"),
        ("bce", "self-paced:from_epoch=100", "bce", "negative"),
        ("bce", "large-loss-reject:step=0", "bce", "negative"),
        ("bce", "class-selective:per_row=0:prior=1", "bce", "focal-negative:gamma=2"),
    ] {
        let [found, expected] = [[loss, missing], [same_loss, same_missing]]
            .map(|[loss, missing]| history(&data, &["--loss", loss, "--missing", missing]));
        assert_eq!(found, expected, "{loss}, {missing}");
    }
    for policy in
        ["entropy:alpha=0.3", "focal-negative:gamma=1", "self-paced:threshold=0.4", "large-loss-flip:step=0.2"]
    {
        let (name, _) = policy.split_once(':').unwrap();
        let [found, plain] = [policy, name].map(|policy| history(&data, &["--missing", policy]));
        assert_ne!(found, plain, "{policy}");
    }
}

#[test]
fn a_setting_is_compared_resumed_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let options = ["--hidden", "8", "--epochs", "1", "--seeds", "1"];
    let mut compare = program();
    compare.args(["compare", "--data"]).arg(&data).args(options);
    let found = printed(compare.args(["--losses", "bce,focal:gamma=1:alpha=none", "--policies", "entropy:alpha=0.2"]));
    assert!(found.contains("focal:gamma=1:alpha=none, missing: entropy:alpha=0.2"), "{found}");

    let out = folder.path().join("run");
    let run = |loss, more: &[&str]| {
        let mut command = train(&data, &["--loss", loss]);
        command.args(more).arg("--out").arg(&out);
        command
    };
    printed(&mut run("focal:gamma=1", &[]));
    assert!(std::fs::read_to_string(out.join("run.toml")).unwrap().contains("loss = \"focal:gamma=1\""));
    printed(&mut run("focal:gamma=1", &["--resume", "--epochs", "4"]));
    let other = sentence(&mut run("focal:gamma=3", &["--resume", "--epochs", "5"]));
    let expected =
        r#"the checkpoint was made with different options: --loss is "focal:gamma=3", and was "focal:gamma=1""#;
    assert!(other.contains(expected), "{other}");
}

#[test]
fn what_describes_no_objective_is_refused_in_one_sentence() {
    for (option, text, expected) in [
        ("--loss", "bces", "expected one of bce, focal, asymmetric, hill"),
        ("--loss", "huber", "expected one of bce, focal, asymmetric, hill"),
        ("--loss", "focal:gama=2", "focal: expected one of the settings alpha, gamma, found `gama`"),
        ("--loss", "focal:gamma", "focal: expected settings as in `name:setting=value`, found `gamma`"),
        ("--loss", "focal:gamma=-1", "gamma: expected a finite number of at least 0.0, found -1"),
        ("--loss", "bce:label_smoothing=2", "label_smoothing: expected a number within [0.0, 1.0], found 2"),
        ("--loss", "bce:pos_weight=nan", "pos_weight: expected a finite number of at least 0.0, found NaN"),
        ("--missing", "nothing", "expected one of ignore, negative, "),
        ("--missing", "ignore:x=1", "ignore: expected no settings, found `x`"),
        ("--missing", "entropy:alpha=-1", "alpha: expected a finite number of at least 0.0, found -1"),
        ("--missing", "half:label=2", "the label of a missing entry: expected a number within [0.0, 1.0], found 2"),
        ("--missing", "self-paced:threshold=2", "threshold: expected a number within [0.0, 1.0], found 2"),
        ("--missing", "self-paced:from_epoch=-1", "self-paced:from_epoch: expected an integer from 0 on, found `-1`"),
        ("--missing", "large-loss-flip:step=nan", "step: expected a finite number of at least 0.0, found NaN"),
    ] {
        let complaint = usage_error(&mut train(Path::new("table.csv"), &[option, text]));
        assert!(complaint.contains(&format!("invalid value '{text}' for '{option} <")), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
    }
}
