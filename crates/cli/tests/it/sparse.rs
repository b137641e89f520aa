//! Features and labels as sparse matrices or as bits.

use std::fs;
use std::path::{Path, PathBuf};

use npyz::AutoSerialize;
use npyz::npz::NpzWriter;
use serde_json::Value;

use crate::program::{complaint, metrics, text};
use crate::tables::{Example, add, write_csr};

/// Half of the features are 0.
fn example() -> Example {
    let mut example = Example::new(80);
    example.features.iter_mut().enumerate().for_each(|(row, cells)| cells[row % 2] = 0.0);
    example
}

/// Without the labels' names.
fn nameless(mut metrics: Value) -> Value {
    for part in ["test", "validation"] {
        for label in metrics[part]["labels"].as_array_mut().unwrap() {
            label["name"].take();
        }
    }
    metrics
}

#[test]
fn sparse_features_train_to_the_bits_of_dense_ones() {
    let folder = tempfile::tempdir().unwrap();
    let features = example().sparse_features(folder.path());
    let dense = example().npz(folder.path());
    assert_eq!(metrics(&dense, &[]), metrics(&dense, &["--features", text(&features)]));
    // With a CSV, its other columns are then not features.
    let csv = example().with_column("smiles", |_| "C".to_owned()).csv(folder.path());
    assert_eq!(metrics(&dense, &[]), metrics(&csv, &["--labels", "y*", "--features", text(&features)]));
}

#[test]
fn of_a_sparse_y_what_is_stored_is_observed() {
    let folder = tempfile::tempdir().unwrap();
    let features = example().sparse_features(folder.path());
    let expected = nameless(metrics(&example().npz(folder.path()), &[]));
    let zeros = example().sparse_labels(folder.path());
    assert_eq!(expected, nameless(metrics(&zeros, &["--features", text(&features)])));
    let signs = || example().map(|label| label.map(|label| 2.0 * label - 1.0));
    for options in [&[][..], &["--threshold", "0.5"]] {
        let options = [&["--features", text(&features)], options].concat();
        assert_eq!(expected, nameless(metrics(&signs().sparse_labels(folder.path()), &options)));
    }
    let positives_only =
        metrics(&signs().sparse_labels(folder.path()), &["--features", text(&features), "--missing-value", "-1"]);
    let label = &positives_only["validation"]["labels"][0];
    assert_eq!(label["observed"], label["positive"]);
}

/// Made by SciPy 1.17: `i, j = numpy.indices((30, 5)); save_npz(.., csr_matrix(i * j % 3))`; Y, a `csr_array` of 30 x 2, has
/// 1 where `(7 * i + j) % 2 == 0`, else -1, and nothing where `(i + j) % 3 == 0`.
#[test]
fn what_scipy_saved_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut csv = "a,b,c,d,e,y,z\n".to_owned();
    for row in 0..30 {
        let features = (0..5).map(|column| (row * column % 3).to_string());
        let label = |column: i32| {
            let known = (row + column) % 3 != 0;
            if known { ((7 * row + column + 1) % 2).to_string() } else { String::new() }
        };
        csv += &(features.chain([label(0), label(1)]).collect::<Vec<_>>().join(",") + "\n");
    }
    let table = folder.path().join("table.csv");
    fs::write(&table, csv).unwrap();
    let features = fixture("scipy_x.npz");
    let found = metrics(&fixture("scipy_y.npz"), &["--features", text(&features)]);
    assert_eq!(nameless(metrics(&table, &["--labels", "y,z"])), nameless(found));

    let found = complaint(&fixture("scipy_y.npz"), &["--features", text(&fixture("scipy_csc.npz"))]);
    assert!(found.contains("expected format csr, found csc: save_npz(file, matrix.tocsr()) writes csr"), "{found}");
}

#[test]
fn sparse_matrices_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let labels = example().sparse_labels(folder.path());
    let refuse = |labels: &Path, features: &Path, sentence: &str| {
        let found = complaint(labels, &["--features", text(features)]);
        assert!(found.contains(sentence), "{found}");
    };
    assert!(complaint(&labels, &[]).contains("read as Y: --features must name the file of X"));
    let good = example().sparse_features(folder.path());
    refuse(&labels, &write_csr(&path("short.npz"), 2, &[vec![(0, 1.0)]]), "short.npz has 1 rows, and ");
    refuse(
        &labels,
        &write_csr(&path("wide.npz"), 2, &[vec![(2, 1.0)]]),
        "indices are from 2 to 2, but columns from 0 to 1",
    );
    let infinite = write_csr(&path("infinite.npz"), 2, &[vec![], vec![], vec![(1, f32::INFINITY)]]);
    refuse(&labels, &infinite, "feature \"1\" is inf in data row 3");
    let twice = write_csr(&path("twice.npz"), 2, &[vec![], vec![(1, 0.0), (0, 1.0), (1, 1.0)]]);
    refuse(&twice, &good, "data row 2 has two values in column 1");
    refuse(&labels, &path("features.csv"), "its name must end in .npz or .safetensors");

    let broken = path("broken.npz");
    let mut archive = NpzWriter::create(&broken).unwrap();
    add(&mut archive, "format", npyz::DType::Plain("|S3".parse().unwrap()), &[], ["csr"]);
    add(&mut archive, "shape", i64::default_dtype(), &[2], [2i64, 2]);
    add(&mut archive, "indptr", i32::default_dtype(), &[3], [0, 2, 1]);
    add(&mut archive, "indices", i32::default_dtype(), &[2], [0, 1]);
    add(&mut archive, "data", f32::default_dtype(), &[2], [1.0f32, 1.0]);
    drop(archive);
    refuse(&labels, &broken, "indptr does not rise from 0 to at most 2");
}

#[test]
fn packed_bits_are_features() {
    let folder = tempfile::tempdir().unwrap();
    let byte = |row: usize| [(row * 37 % 256) as u8, (row * 101 % 256) as u8];
    let write = |name: &str, array: &str, width: u64, cells: Vec<u8>| {
        let path = folder.path().join(name);
        let mut archive = NpzWriter::create(&path).unwrap();
        add(&mut archive, array, u8::default_dtype(), &[80, width], cells);
        add(&mut archive, "Y", f32::default_dtype(), &[80, 1], (0..80).map(|row| f32::from(byte(row)[1] > 99)));
        path
    };
    // The first bit is the highest, as in numpy.packbits.
    let bits = |byte: u8| (0..8).map(move |bit| byte >> (7 - bit) & 1);
    let plain = write("plain.npz", "X", 16, (0..80).flat_map(byte).flat_map(bits).collect());
    let packed = write("packed.npz", "X_bits", 2, (0..80).flat_map(byte).collect());
    assert_eq!(metrics(&plain, &[]), metrics(&packed, &[]));
}
