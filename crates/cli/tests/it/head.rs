//! Which logits of the last layer are computed.

use crate::program::{bits, complaint, finish, read_json, train};
use crate::tables::Example;

#[test]
fn every_head_learns_the_same_and_a_run_says_which_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).npz(folder.path());
    let out = |head: &str| folder.path().join(head);
    for head in ["auto", "dense", "chunked", "observed"] {
        finish(train(&data, &["--head", head, "--micro-batch", "20", "--out"]).arg(out(head)));
        assert_eq!(read_json(&out(head).join("config.json"))["training"]["head"], head);
    }
    let loss = |head: &str| read_json(&out(head).join("metrics.json"))["test"]["loss"].as_f64().unwrap();
    for head in ["chunked", "observed"] {
        assert!((loss(head) - loss("dense")).abs() < 1e-4 * loss("dense"), "{head}");
    }
    // A matrix product is not worth it for two labels.
    assert_eq!(loss("auto"), loss("observed"));
}

#[test]
fn the_observed_head_is_refused_where_missing_labels_count() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let found = complaint(&data, &["--head", "observed", "--missing", "negative"]);
    assert_eq!(found, "error: --head observed needs --missing ignore, found --missing negative\n");
}

#[test]
fn output_weights_that_wait_come_to_the_bits_of_those_that_move() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(60).npz(folder.path());
    for rule in ["adam", "adamw", "sgd"] {
        let found = |unobserved: &str, options: &[&str]| {
            let out = folder.path().join(format!("{unobserved}-{rule}"));
            let own = ["--head", "observed", "--batch-size", "2", "--micro-batch", "1", "--weight-decay", "0.01"];
            let own = [&own[..], &["--optimizer", rule, "--unobserved", unobserved, "--out"]].concat();
            finish(train(&data, &own).arg(&out).args(options));
            // The configuration differs, and with it the checksum in the weights.
            bits(&out)[1].clone()
        };
        for options in [&[][..], &["--clip", "0.1"]] {
            let moving = found("move", options);
            assert!(found("wait", options) == moving, "{rule}, {options:?}");
            assert!(found("keep", options) != moving, "{rule}, {options:?}");
        }
        let parts = found("wait", &["--epochs", "2"]);
        let resumed = found("wait", &["--epochs", "4", "--resume"]);
        assert!(parts != resumed && resumed == found("move", &["--epochs", "4"]), "{rule}");
    }
}

#[test]
fn output_weights_wait_or_stay_only_where_observed_logits_alone_are_computed() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    for (options, expected) in [
        (["--unobserved", "wait", "--head", "dense"], "--unobserved wait needs --head observed"),
        (["--unobserved", "keep", "--precision", "bf16"], "--unobserved keep needs --precision f32"),
        (
            ["--unobserved", "keep", "--missing", "negative"],
            "--unobserved keep needs --missing ignore, found --missing negative",
        ),
    ] {
        assert_eq!(complaint(&data, &options), format!("error: {expected}\n"));
    }
}
