//! Which logits of the last layer are computed.

use crate::program::{complaint, finish, read_json, train};
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
    // A multiplication of matrices is not worth it for two labels.
    assert_eq!(loss("auto"), loss("observed"));
}

#[test]
fn the_observed_head_is_refused_where_missing_labels_count() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let found = complaint(&data, &["--head", "observed", "--missing", "negative"]);
    assert_eq!(found, "error: --head observed computes no logit that --missing negative counts\n");
}
