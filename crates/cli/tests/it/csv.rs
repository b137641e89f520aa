//! Rows and columns of a CSV.

use std::fs;
use std::path::{Path, PathBuf};

use npyz::AutoSerialize;
use npyz::npz::NpzWriter;

use crate::program::{complaint, metrics, printed, program, sentence, text};
use crate::tables::{Example, add};

/// A file of features for this many rows.
fn features(folder: &Path, rows: u64) -> PathBuf {
    let path = folder.join("x.npz");
    let mut archive = NpzWriter::create(&path).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[rows, 1], (0..rows).map(|row| row as f32));
    path
}

#[test]
fn an_empty_line_of_one_column_is_a_row_without_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let (table, x) = (folder.path().join("y.csv"), features(folder.path(), 3));
    let inspect = |content: &str| {
        fs::write(&table, content).unwrap();
        let mut command = program();
        command.args(["inspect", "--labels", "y*", "--features", text(&x), "--data", text(&table)]);
        command
    };
    // Polars writes the first for 1, null, 0; pandas writes the third.
    for content in [
        "y\n1\n\n0\n",
        "y\r\n1\r\n\r\n0\r\n",
        "y\n1\n\"\"\n0\n",
        "y\n1\n  \n0",
        "y\n1\n0\n \t",
        "y\r\n1\r\n \r\n0",
        "y\n 1\n\n 0\n",
        "\u{feff}\"y,z\"\n1\n\n0\n",
        "\ny\n\n1\n0\n",
        "\"y\"\n1\n0\n\n",
        "\"y\n\n\"\"z\"\n\"1\n\n\"\n\n0\n",
    ] {
        let found = printed(&mut inspect(content));
        assert!(found.contains("3 rows, 1 features, 1 labels"), "{content:?}: {found}");
        assert!(found.contains("Labels: 2 of 3 are observed"), "{content:?}: {found}");
    }
    // The data row of a label counts the empty lines before it.
    let found = sentence(&mut inspect("y\n\n1\n2\n"));
    assert!(found.contains(r#"label "y" is 2 in data row 3, "#), "{found}");
    let found = sentence(&mut inspect("y\n\n1\nhigh\n"));
    assert!(
        found.ends_with(
            "y.csv: line 4: \"high\" in data row 3, column \"y\" is not a number; --ignore leaves the column out\n"
        ),
        "{found}"
    );
    let found = sentence(&mut inspect("y\n1\n\n0\n1\n"));
    let expected = format!("error: {} has 3 rows, and {} has 4\n", x.display(), table.display());
    assert_eq!(found, expected);
}

#[test]
fn an_empty_line_of_several_columns_is_skipped_and_rows_are_found_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let refuse = |content: &[u8], sentence: &str| {
        fs::write(&table, content).unwrap();
        let found = complaint(&table, &["--labels", "y"]);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", table.display()));
    };
    refuse(
        b"a,y\n1,0\n\n\n2,x\n",
        r#"line 5: "x" in data row 2, column "y" is not a number; --ignore leaves the column out"#,
    );
    refuse(
        b"a,y\r\n1,0\r\n\r\n2,x\r\n",
        r#"line 4: "x" in data row 2, column "y" is not a number; --ignore leaves the column out"#,
    );
    refuse(
        b"\n\"a\",y\n\"1\n\",0\n2,x\n",
        r#"line 5: "x" in data row 2, column "y" is not a number; --ignore leaves the column out"#,
    );
    refuse(b"a,y\n1,0\n\n1,2\n", &{
        let range =
            "outside [0, 1]: --threshold makes labels binary, --missing-value names a number that means missing";
        format!(r#"line 4: label "y" is 2 in data row 2, {range}"#)
    });
    refuse(
        b"a,y\n1,0\n  \n\t\n2,x\n",
        r#"line 5: "x" in data row 2, column "y" is not a number; --ignore leaves the column out"#,
    );
    refuse(b"a,y\n1,0\n\"\"\n1,0\n", "line 3: data row 2 has 1 cells where the header has 2");
    refuse(
        b"a,y\n1,0\n , \n",
        r#"feature "a" is NaN in data row 2: only labels may be missing (see --labels and --ignore)"#,
    );
    refuse(b"a,y\n1,0\n\n\xff,2\n", "line 4: data row 2 is not text in UTF-8");
    refuse(b"a,y\n1,0\n\"c,1\n2,1\n", "line 3: the quoted cell that begins there has no closing quote");
    refuse(b"\"a\nb\",y\n1,0\n\n\"c,1\n", "line 5: the quoted cell that begins there has no closing quote");
    refuse(b"a\xff,y\n1,0\n", "line 1: the header is not text in UTF-8");
    refuse(b"a\0,\0y\0\n\0", "the header has bytes of value 0: save UTF-16 text as UTF-8");
    refuse(b"a,y\n1,0,\n", "line 2: data row 1 has 3 cells where the header has 2: a comma ends the line");
}

#[test]
fn ignored_columns_may_have_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(80);
    let expected = metrics(&example.csv(folder.path()), &["--labels", "y*"]);
    let content = fs::read_to_string(folder.path().join("table.csv")).unwrap();
    let prefixed = |header: &str, cells: &str| {
        let lines = content.lines().enumerate();
        lines.map(|(line, rest)| format!("{}{rest}\n", if line == 0 { header } else { cells })).collect::<String>()
    };
    let table = folder.path().join("twice.csv");
    fs::write(&table, prefixed("id,id,", "7,seven,")).unwrap();
    assert_eq!(metrics(&table, &["--labels", "y*", "--ignore", "id"]), expected);
    assert_eq!(metrics(&table, &["--labels", "y*", "--ignore", "i*"]), expected);
    // Nothing tells the two apart.
    let found = complaint(&table, &["--labels", "y*", "--ignore", "id", "--group", "id"]);
    assert!(found.contains(r#"two columns are named "id""#), "{found}");

    let arrays = folder.path().join("table.npz");
    let mut archive = NpzWriter::create(&arrays).unwrap();
    add(&mut archive, "X", f32::default_dtype(), &[80, 2], example.features.concat());
    let cells = example.labels.iter().flat_map(|[a, b]| [*a, Some(7.0), *b, None]);
    add(&mut archive, "Y", f32::default_dtype(), &[80, 4], cells.map(|label| label.unwrap_or(f32::NAN)));
    let dtype = npyz::DType::Plain("<U2".parse().unwrap());
    add(&mut archive, "labels", dtype, &[4], ["y1", "no", "y2", "no"].map(String::from));
    drop(archive);
    assert_eq!(metrics(&arrays, &["--ignore", "no"]), expected);
    assert!(complaint(&arrays, &[]).contains(r#"two columns are named "no""#));
}
