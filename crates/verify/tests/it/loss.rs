//! `masked-loss-verify loss`: its answers, and its messages about bad files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tch::{Kind, Tensor};

use crate::{PROGRAM, folder};

fn run(folder: &Path, loss: &str) -> Output {
    Command::new(PROGRAM)
        .args(["loss", "--loss", loss, "--reduction", "mean", "--input"])
        .arg(folder.join("in"))
        .arg("--output")
        .arg(folder.join("out"))
        .output()
        .unwrap()
}

fn good() -> Vec<(&'static str, Tensor)> {
    let labels = Tensor::from_slice(&[1.0f32, f32::NAN, 0.0, 1.0, f32::NAN, 0.0]).view([3, 2]);
    let logits = Tensor::from_slice(&[0.0f32, f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0]).view([3, 2]);
    vec![("logits", logits), ("labels", labels)]
}

/// Status 1, this one sentence about the file on stderr, and nothing written.
fn complains(name: &str, input: Option<&[u8]>, sentence: &str) {
    let folder = folder(name);
    if let Some(bytes) = input {
        fs::write(folder.join("in"), bytes).unwrap();
    }
    let done = run(&folder, "bce");
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{name}: {said}");
    assert_eq!(said.lines().count(), 1, "{name}: {said}");
    assert!(said.contains(folder.join("in").to_str().unwrap()), "{name}: {said}");
    assert!(said.contains(sentence), "{name}: {said}");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), usize::from(input.is_some()), "{name}: {left:?}");
}

/// The bytes of a file with the good tensors, some of them replaced, added or (`None`) removed.
fn file(name: &str, changes: &[(&'static str, Option<Tensor>)]) -> Vec<u8> {
    let path = folder(&format!("{name}-made")).join("in");
    let mut tensors = good();
    for (name, change) in changes {
        tensors.retain(|(known, _)| known != name);
        tensors.extend(change.as_ref().map(|tensor| (*name, tensor.shallow_clone())));
    }
    Tensor::write_safetensors(&tensors, &path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn value_gradient_and_count() {
    let folder = folder("good");
    fs::write(folder.join("in"), file("good", &[])).unwrap();
    let done = run(&folder, "bce");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let answer = Tensor::read_safetensors(folder.join("out")).unwrap();
    let get = |name: &str| &answer.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(get("loss").double_value(&[]), f64::from(2.0f32.ln()));
    assert_eq!(get("observed").int64_value(&[]), 4);
    let expected = Tensor::from_slice(&[-0.125f32, 0.0, 0.125, -0.125, 0.0, 0.125]).view([3, 2]);
    assert_eq!(get("grad"), &expected);
}

/// The gradient that a loss has on the good tensors and one more.
fn gradient(loss: &str, name: &'static str, tensor: Tensor) -> Tensor {
    let folder = folder(loss);
    fs::write(folder.join("in"), file(loss, &[(name, Some(tensor))])).unwrap();
    let done = run(&folder, loss);
    assert!(done.status.success(), "{loss}: {}", String::from_utf8_lossy(&done.stderr));
    let answer = Tensor::read_safetensors(folder.join("out")).unwrap();
    answer.into_iter().find(|(name, _)| name == "grad").unwrap().1
}

#[test]
fn parameters_of_losses() {
    let inverse_propensity = Tensor::from_slice(&[2.0f32, 5.0]);
    let expected = Tensor::from_slice(&[-0.375f32, 0.0, 0.125, -1.125, 0.0, 0.125]).view([3, 2]);
    assert_eq!(gradient("unbiased-bce", "inverse_propensity", inverse_propensity), expected);
    // All predictions are 0. The second label of 1 is a bound, which 0 respects.
    let bound = Tensor::from_slice(&[0i64, 0, 0, -1, 0, 0]).view([3, 2]);
    let expected = Tensor::from_slice(&[-0.5f32, 0.0, 0.0, 0.0, 0.0, 0.0]).view([3, 2]);
    assert_eq!(gradient("squared", "bound", bound), expected);
}

#[test]
fn bad_files() {
    complains("missing", None, "No such file");
    complains("empty", Some(b""), "damaged or not a safetensors file");
    complains("text", Some(b"logits,labels\n0,1\n"), "damaged or not a safetensors file");
    let whole = file("truncated", &[]);
    complains("truncated", Some(&whole[..whole.len() - 1]), "damaged or not a safetensors file");
}

#[test]
fn bad_tensors() {
    let complain = |name: &str, changes: &[_], sentence| complains(name, Some(&file(name, changes)), sentence);
    let zeros = |size: &[i64], kind| Some(Tensor::zeros(size, (kind, tch::Device::Cpu)));

    complain("no-logits", &[("logits", None)], "there is no tensor `logits`");
    complain("no-labels", &[("labels", None)], "there is no tensor `labels`");
    complain(
        "dtype",
        &[("logits", zeros(&[3, 2], Kind::Int64))],
        "logits: expected f64, f32, f16 or bf16, found Int64",
    );
    complain("shape", &[("logits", zeros(&[2, 3], Kind::Float))], "logits: expected shape [3, 2], found [2, 3]");
    complain("mask", &[("mask", zeros(&[3], Kind::Bool))], "mask: expected shape [3, 2], found [3]");
    complain("weights", &[("weights", zeros(&[2, 1], Kind::Float))], "weights: expected shape [3, 2]");
    complain("upstream", &[("upstream", zeros(&[3, 2], Kind::Float))], "upstream: expected shape [], found [3, 2]");
    complain("pos-weight", &[("pos_weight", zeros(&[1, 2], Kind::Float))], "pos_weight: expected a vector");
    complain("pos-weights", &[("pos_weight", zeros(&[3], Kind::Float))], "expected shape [2], found [3]");
    complain("misspelt", &[("poz_weight", zeros(&[2], Kind::Float))], "does not use the tensor `poz_weight`");
    complain("bound", &[("bound", zeros(&[3, 2], Kind::Float))], "does not use the tensor `bound`");
    complain("range", &[("labels", Some(Tensor::full([3, 2], 2.0, (Kind::Float, tch::Device::Cpu))))], "within [0, 1]");
}

#[test]
fn a_loss_that_is_not_in_the_catalogue() {
    let done = run(&folder("unknown"), "no-such-loss");
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("bce-probabilities"));
}
