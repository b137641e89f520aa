//! `inspect`: the description of a table.

use std::fs;
use std::path::Path;

use crate::program::{printed, program};
use crate::tables::{Example, write_csr};

fn inspect(data: &Path, arguments: &[&str]) -> String {
    printed(program().args(["inspect", "--data"]).arg(data).args(arguments))
}

/// The cells of the row of a printed table that begins so.
fn cells(printed: &str, name: &str) -> Vec<String> {
    let line =
        printed.lines().find(|line| line.starts_with(&format!("│ {name} "))).unwrap_or_else(|| panic!("{printed}"));
    line.split(['│', '┆']).skip(2).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn a_small_table_is_shown_whole() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    fs::write(&table, "a,b,x,y,z\n1,0,1,0,\n0,2,1,,\n0,0,0,1,\n0,0,,,\n3,0,1,1,1\n").unwrap();
    let printed = inspect(&table, &["--labels", "x,y,z"]);
    for line in [
        "5 rows, 2 features, 3 labels",
        "Features: 2 as f32, 30.00 % nonzero",
        "Labels: 8 of 15 are observed (53.33 %), 6 of them positive (75.00 %)",
        "Rows without any observed label: 1",
        "Labels without both classes, which cannot be scored: 1 (z)",
        "Pairs of labels observed together on some row: 3 of 3 (100.00 %); rows per pair: 1 to 3, quartiles 1, 1, 2",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line}\n{printed}");
    }
    assert_eq!(cells(&printed, "x"), ["4", "80.00 %", "3", "75.00 %"]);
    assert_eq!(cells(&printed, "z"), ["1", "20.00 %", "1", "100.00 %"]);
    let (_, square) = printed.split_once("│ observed together").unwrap();
    let rows = [("x", ["4", "3", "1"]), ("y", ["3", "3", "1"]), ("z", ["1", "1", "1"])];
    for (name, row) in rows {
        assert_eq!(cells(square, name), row);
    }
}

#[test]
fn of_many_labels_the_first_are_shown_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    // Label l is observed on the rows 0 to l, as a negative on row 0 only.
    let rows = |row: u64| (row..50).map(move |label| (label, f32::from(row > 0))).collect::<Vec<_>>();
    let labels = write_csr(&folder.path().join("y.npz"), 50, &(0..50).map(rows).collect::<Vec<_>>());
    let features: Vec<_> = (0..50).map(|row| vec![(row % 40, 0.5)]).collect();
    let features = write_csr(&folder.path().join("x.npz"), 40, &features);
    let printed = inspect(&labels, &["--features", features.to_str().unwrap()]);
    assert!(printed.contains("50 rows, 40 features, 50 labels"), "{printed}");
    assert!(printed.contains("Features: 40 as sparse, 2.50 % nonzero"), "{printed}");
    assert!(printed.contains("without both classes, which cannot be scored: 1 (0)"), "{printed}");
    assert!(printed.contains("and 30 more (--all shows them)"), "{printed}");
    assert!(!printed.contains("│ 20 "), "{printed}");
    assert_eq!(cells(&printed, "observed"), ["1", "13.25", "25.5", "37.75", "50"]);
    assert_eq!(cells(&printed, "positive"), ["0", "12.25", "24.5", "36.75", "49"]);
    assert!(printed.contains("together on some row: 1225 of 1225"), "{printed}");
    assert!(!printed.contains("│ observed together"), "{printed}");
    let all = inspect(&labels, &["--features", features.to_str().unwrap(), "--all"]);
    assert_eq!(cells(&all, "49"), ["50", "100.00 %", "49", "98.00 %"]);
}

/// The pairs of 20,000 labels take 7 GB.
#[test]
fn pairs_of_very_many_labels_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..3).map(|row| vec![(row, 1.0), (row + 5, 0.0)]).collect();
    let features = write_csr(&folder.path().join("x.npz"), 8, &rows);
    for (labels, counted) in [(2000, true), (2001, false)] {
        let table = write_csr(&folder.path().join("y.npz"), labels, &rows);
        let printed = inspect(&table, &["--features", features.to_str().unwrap()]);
        let sentence = "Pairs of labels are not counted: there are more than 2000 labels\n";
        assert_eq!(printed.ends_with(sentence), !counted, "{printed}");
        assert_eq!(printed.contains("together on some row: 3 of 1999000"), counted, "{printed}");
    }
}

#[test]
fn where_all_can_be_scored_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let printed = inspect(&Example::new(80).npz(folder.path()), &[]);
    assert!(printed.contains("80 rows, 2 features, 2 labels"), "{printed}");
    assert!(printed.contains("Labels without both classes, which cannot be scored: 0\n"), "{printed}");
}
