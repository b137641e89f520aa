//! Features standardized on the training rows.

use std::fs;
use std::path::Path;

use crate::program::{self, SMALL, bits, finish, printed, program};
use crate::tables::Example;

const OPTIONS: &[&str] = &["--labels", "y*", "--split-by", "index", "--standardize"];

fn train(data: &Path, out: &Path, arguments: &[&str]) {
    finish(program::train(data, OPTIONS).args(arguments).arg("--out").arg(out));
}

fn weight(out: &Path, name: &str) -> Vec<f32> {
    let weights = tch::Tensor::read_safetensors(out.join("weights.safetensors")).unwrap();
    Vec::try_from(&weights.iter().find(|weight| weight.0 == name).unwrap().1).unwrap()
}

#[test]
fn mean_and_deviation_are_those_of_the_rows_to_train_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut example = Example::new(200);
    example.features.iter_mut().for_each(|cells| *cells = [1000.0 + cells[0], 0.1]);
    // Far from the training rows.
    example.features[160..].iter_mut().for_each(|cells| *cells = [-5e6, 3.0]);
    let out = folder.path().join("run");
    train(&example.csv(folder.path()), &out, &[]);
    let column: Vec<f64> = example.features[..160].iter().map(|cells| cells[0].into()).collect();
    let mean = column.iter().sum::<f64>() / 160.0;
    let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 160.0).sqrt();
    assert_eq!(weight(&out, "input.mean"), [mean as f32, 0.1]);
    assert_eq!(weight(&out, "input.deviation"), [deviation as f32, 1.0]);
}

#[test]
fn the_unit_of_a_feature_changes_no_bit_of_anything() {
    let folder = tempfile::tempdir().unwrap();
    let results = [1.0, 1024.0].map(|unit| {
        let folder = folder.path().join(unit.to_string());
        fs::create_dir(&folder).unwrap();
        let mut example = Example::new(200);
        example.features.iter_mut().for_each(|cells| *cells = cells.map(|cell| unit * cell));
        let (data, out, to) = (example.csv(&folder), folder.join("run"), folder.join("p.csv"));
        train(&data, &out, &[]);
        let apply = |arguments: &[&str]| {
            let options = ["--labels", "y*", "--device", "cpu"];
            printed(program().args(arguments).arg("--data").arg(&data).args(options))
        };
        apply(&["predict", out.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        let scores = apply(&["evaluate", out.to_str().unwrap()]);
        (fs::read(out.join("metrics.json")).unwrap(), fs::read(to).unwrap(), scores)
    });
    assert!(results[0] == results[1]);
}

#[test]
fn a_resumed_run_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).csv(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let decay = ["--weight-decay", "0.1", "--optimizer", "adamw"];
    train(&data, &whole, &decay);
    train(&data, &parts, &[&decay[..], &["--epochs", "1"]].concat());
    train(&data, &parts, &[&decay, &SMALL[2..4], &["--resume"]].concat());
    assert!(bits(&whole) == bits(&parts));
}
