//! Averages state the number of labels, and a score that is not finite is an error.

use std::fs;
use std::path::Path;

use crate::program::{SMALL, finish, printed, program, sentence, train};
use crate::trained::four;

/// Forty rows, every fourth a test row; `label`: the two labels of a row, as written in the file.
fn table(path: &Path, label: impl Fn(usize) -> [&'static str; 2]) {
    let row = |row: usize| {
        let part = ["train", "train", "validation", "test"][row % 4];
        let [first, second] = label(row);
        format!("{},{},{part},{first},{second}\n", (row as f64).sin(), (row as f64).cos())
    };
    fs::write(path, "a,b,part,y1,y2\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
}

fn class(row: usize) -> &'static str {
    ["0", "1"][row / 4 % 2]
}

#[test]
fn compare_says_how_many_labels_and_seeds_an_average_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("table.csv");
    let compared = || {
        let mut command = program();
        command.args(["compare", "--data"]).arg(&data).args(SMALL);
        printed(command.args(["--labels", "y*", "--split", "part", "--seeds", "2", "--losses", "bce"]))
    };
    table(&data, |row| [class(row), "1"]);
    let found = compared();
    assert_eq!(found.matches(" 1 of 2 ").count(), 2, "{found}");
    assert!(!found.contains("seeds)"), "{found}");
    table(&data, |row| [if row % 4 == 3 { "0" } else { class(row) }, "1"]);
    let found = compared();
    assert_eq!(found.matches(" 0 of 2 ").count(), 2, "{found}");
    assert_eq!(found.matches("– (0 of 2 seeds)").count(), 4, "{found}");
}

#[test]
fn the_files_of_a_run_count_the_labels_of_an_average() {
    let trained = four();
    let test = &trained.metrics()["test"];
    // One label has no observed test row, and another only positives.
    assert_eq!(test["scored_labels"], 2);
    for metric in ["brier", "log_loss", "calibration_error"] {
        assert_eq!(test[metric]["macro_labels"], 3, "{metric}");
    }
    assert!(trained.read("report.html").contains("test rows, mean over 2 of 4 labels"));
    let scored = &trained.metrics()["validation"]["scored_labels"];
    assert_eq!(scored, &trained.metrics()["history"][0]["validation_scored_labels"]);
    // The end of the caption.
    assert!(trained.read("curves.svg").contains(&format!("({scored}).</text>")));
}

#[test]
fn scores_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("table.csv"), folder.path().join("run"));
    table(&data, |row| [class(row), class(row + 4)]);
    finish(train(&data, &["--labels", "y*", "--split", "part", "--lr", "10"]).arg("--out").arg(&out));
    // The rate makes weights so large that their products with finite features overflow.
    let large = folder.path().join("large.csv");
    fs::write(&large, "a,b,y1,y2\n0.5,0.5,0,1\n3e38,-3e38,,1\n3e38,-3e38,1,0\n").unwrap();
    let to = folder.path().join("p.csv");
    let apply = |name: &str| {
        let mut command = program();
        command.arg(name).arg(&out).arg("--data").arg(&large).args(["--device", "cpu", "--labels", "y*"]);
        command
    };
    for (command, expected) in [
        (&mut apply("evaluate"), r#"the score of label "y2" in data row 2 is not finite: "#),
        (apply("predict").arg("--to").arg(&to), r#"the score of label "y1" in data row 2 is not finite: "#),
        (
            apply("predict").args(["--top", "1"]).arg("--to").arg(&to),
            r#"the score of label "y1" in data row 2 is not "#,
        ),
    ] {
        let found = sentence(command);
        assert!(found.contains(expected), "{found}");
        assert!(found.contains("--standardize or a lower --lr"), "{found}");
    }
    assert!(!to.exists());
}

#[test]
fn other_labels_are_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("table.csv"), folder.path().join("run"));
    table(&data, |row| [class(row), class(row + 4)]);
    finish(train(&data, &["--labels", "y*", "--split", "part"]).arg("--out").arg(&out));
    let refused = |labels: &[String]| {
        let other = folder.path().join("other.csv");
        let cells = ",1".repeat(labels.len());
        fs::write(&other, format!("a,b,{}\n0.5,0.5{cells}\n", labels.join(","))).unwrap();
        let mut command = program();
        sentence(
            command.arg("evaluate").arg(&out).arg("--data").arg(&other).args(["--device", "cpu", "--labels", "y*"]),
        )
    };
    let many: Vec<String> = (2..14).map(|label| format!("y{label}")).collect();
    let expected = "network: 1 missing (y1); 11 unexpected (y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, ...)";
    let found = refused(&many);
    assert!(found.contains(expected), "{found}");
    let found = refused(&["y2", "y1"].map(str::to_owned));
    assert!(found.contains("the labels of the network in another order"), "{found}");
}

#[test]
fn a_score_without_a_label_that_is_nan_leaves_an_empty_cell() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("table.csv"), folder.path().join("run"));
    let mut content = String::from("a,b,y,part\n");
    for row in 0..60 {
        let part = ["train", "validation", "test"][row % 3];
        content += &match row {
            59 => format!("3e38,-3e38,,{part}\n"),
            _ => format!("{},{},{},{part}\n", (row as f32).sin(), (row as f32).cos(), row % 2),
        };
    }
    fs::write(&data, content).unwrap();
    let mut command = train(&data, &["--labels", "y", "--split", "part", "--lr", "10", "--hidden", "64", "--out"]);
    let notes = String::from_utf8(finish(command.arg(&out)).stderr).unwrap();
    assert!(
        notes.contains("1 scores of missing entries are NaN, so their cells in predictions.csv are empty"),
        "{notes}"
    );
    let predictions = fs::read_to_string(out.join("predictions.csv")).unwrap();
    assert!(predictions.ends_with("\n59,\n") && !predictions.contains("NaN"), "{predictions}");
}
