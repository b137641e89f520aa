//! Which rows train, choose the epoch and are scored.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::program::{
    SMALL, complaint, finish, metrics, printed, program, read_json, sentence, text, train, usage_error,
};
use crate::tables::Example;

/// The train, validation and test rows in a run's split file, in its order.
fn parts(data: &Path, arguments: &[&str]) -> [Vec<usize>; 3] {
    let out = tempfile::tempdir().unwrap();
    finish(train(data, arguments).args(["--epochs", "1", "--out"]).arg(out.path()));
    let mut parts = HashMap::<String, Vec<usize>>::new();
    for line in csv::Reader::from_path(out.path().join("split.csv")).unwrap().deserialize() {
        let (row, part): (usize, String) = line.unwrap();
        parts.entry(part).or_default().push(row);
    }
    ["train", "validation", "test"].map(|part| parts.remove(part).unwrap())
}

#[test]
fn by_index_the_first_rows_train_and_the_last_are_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(86).npz(folder.path());
    // DeepChem's IndexSplitter: int(0.8 * 86) and int(0.9 * 86).
    let expected = [0..68, 68..77, 77..86].map(Vec::from_iter);
    assert_eq!(parts(&data, &["--split-by", "index"]), expected);
    let expected = [0..43, 43..64, 64..86].map(Vec::from_iter);
    assert_eq!(parts(&data, &["--split-by", "index", "--fractions", "0.5,0.25,0.25"]), expected);
}

#[test]
fn at_random_every_row_is_in_one_part_and_the_seed_decides() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(86).npz(folder.path());
    let split = parts(&data, &["--seed", "5"]);
    assert_eq!(split.each_ref().map(Vec::len), [70, 8, 8]);
    let mut rows = split.concat();
    assert!(!rows.is_sorted());
    rows.sort();
    assert_eq!(rows, Vec::from_iter(0..86));
    assert_eq!(split, parts(&data, &["--seed", "5"]));
    assert_ne!(split, parts(&data, &["--seed", "6"]));
}

#[test]
fn the_rows_of_a_group_stay_together() {
    let folder = tempfile::tempdir().unwrap();
    let group = |row: usize| row * row % 29;
    let data = Example::new(290).with_column("scaffold", |row| group(row).to_string()).csv(folder.path());
    let options = ["--labels", "y*", "--group", "scaffold"];
    for further in [&["--split-by", "random"][..], &["--split-by", "index"], &["--folds", "5", "--fold", "2"]] {
        let split = parts(&data, &[&options, further].concat());
        let mut homes = HashMap::new();
        for (part, rows) in split.iter().enumerate() {
            for &row in rows {
                assert_eq!(*homes.entry(group(row)).or_insert(part), part, "{further:?}");
            }
        }
        assert_eq!(split.concat().len(), 290);
        let share = split[0].len() as f64 / 290.0;
        assert!((0.5..0.9).contains(&share), "{further:?}: {share}");
    }
}

#[test]
fn a_row_without_a_group_is_a_group_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let group = |row: usize| if row.is_multiple_of(2) { String::new() } else { format!("g{}", row % 29) };
    let data = Example::new(290).with_column("patient", group).csv(folder.path());
    let options = ["--labels", "y*", "--group", "patient"];
    for further in [&["--split-by", "random"][..], &["--split-by", "index"], &["--folds", "5", "--fold", "2"]] {
        for rows in parts(&data, &[&options, further].concat()) {
            let alone = rows.iter().filter(|row| row.is_multiple_of(2)).count();
            assert!(alone >= 5, "{further:?}: {alone} of {}", rows.len());
        }
    }
    let said = "145 rows have no group: each is a group of its own";
    let printed = printed(&mut train(&data, &options));
    assert!(printed.contains(said), "{printed}");
    let compared = ["compare", "--seeds", "1", "--policies", "ignore", "--data", text(&data)];
    assert!(crate::program::printed(program().args(compared).args(SMALL).args(options)).contains(said));
}

#[test]
fn nothing_known_of_a_group_is_said_in_many_words() {
    let folder = tempfile::tempdir().unwrap();
    let of = |word: &str| {
        let group = |row: usize| if row % 10 < 6 { word.to_owned() } else { (row % 9).to_string() };
        let data = Example::new(80).with_column("g", group).csv(folder.path());
        parts(&data, &["--labels", "y*", "--group", "g"])
    };
    let expected = of("");
    for word in ["NA", "NaN", "None", "null", "?"] {
        assert_eq!(of(word), expected, "{word}");
    }
}

#[test]
fn an_empty_cell_is_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let part = |row: usize| if row == 5 { "" } else { ["train", "val", "test"][row % 3] };
    let data = Example::new(80).with_column("part", |row| part(row).to_owned()).csv(folder.path());
    let found = complaint(&data, &["--labels", "y*", "--split", "part"]);
    assert_eq!(found, "error: the split is empty in data row 6: expected train, validation or test\n");
    let out = folder.path().join("split.csv");
    fs::write(&out, "row,part\n0,\n").unwrap();
    let found = complaint(&data, &["--labels", "y*", "--ignore", "part", "--split-file", text(&out)]);
    assert!(found.ends_with("row 0 has no part: expected train, validation or test\n"), "{found}");
}

#[test]
fn every_row_is_in_the_test_part_of_one_fold() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(83).npz(folder.path());
    let folds = ["1", "2", "3", "4"].map(|fold| parts(&data, &["--folds", "4", "--fold", fold]));
    for (fold, [train, validation, test]) in folds.iter().enumerate() {
        assert_eq!(*validation, folds[(fold + 1) % 4][2]);
        assert_eq!(train.len() + validation.len() + test.len(), 83);
        assert!((20..=21).contains(&test.len()));
    }
    let mut tested = folds.map(|[.., test]| test).concat();
    tested.sort();
    assert_eq!(tested, Vec::from_iter(0..83));
}

#[test]
fn a_split_that_is_read_back_comes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let out = folder.path().join("run");
    finish(train(&data, &["--fractions", "0.6,0.2,0.2", "--out"]).arg(&out));
    let split = out.join("split.csv");
    let first = read_json(&out.join("metrics.json"));
    assert_eq!(first, metrics(&data, &["--split-file", split.to_str().unwrap()]));
    // A run can resume only with its own split.
    let found = sentence(train(&data, &["--split-by", "index", "--resume", "--out"]).arg(&out));
    assert!(found.contains("made with a different split; see split.csv"), "{found}");

    let whole = fs::read_to_string(&split).unwrap();
    let refuse = |content: &str, sentence: &str| {
        fs::write(&split, content).unwrap();
        let found = complaint(&data, &["--split-file", split.to_str().unwrap()]);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", split.display()));
    };
    let (rest, last) = whole.trim_end().rsplit_once('\n').unwrap();
    let row = last.split(',').next().unwrap();
    refuse(&(rest.to_owned() + "\n"), &format!("row {row} is missing"));
    refuse(&format!("{whole}{last}\n"), &format!("row {row} occurs twice"));
    refuse(&format!("{whole}80,test\n"), "there is no row 80: the rows are 0 to 79");
    refuse(
        &whole.replace(last, &format!("{row},exam")),
        &format!(r#"row {row} is "exam": expected train, validation or test"#),
    );
    refuse(&whole.replace("row,part", "row,kind"), "it has no column part: expected row and part");
    refuse(&whole.replace(last, "seven,test"), r#"line 81: expected a row number, found "seven""#);
    refuse(
        &whole.replace(last, &format!("{row},")),
        &format!("row {row} has no part: expected train, validation or test"),
    );
    refuse(&whole.replace(last, row), "line 81 has 1 cells where the header has 2");
    refuse(&format!("{whole}\n\nx,test\n"), r#"line 84: expected a row number, found "x""#);
    refuse(
        &whole.replace(last, &format!("{row},\"test")),
        "line 81: the quoted cell that begins there has no closing quote",
    );
    refuse("", "it has no column row: expected row and part");
}

#[test]
fn parts_may_be_numbers_of_any_type() {
    let folder = tempfile::tempdir().unwrap();
    let part = |row: usize| ["train", "train", "validation", "test"][row % 4];
    let number = |row: usize| ["0.0", "0", "1.", "2.0"][row % 4];
    let options = ["--labels", "y*", "--split", "part"];
    let words = metrics(&Example::new(80).with_column("part", |row| part(row).to_owned()).csv(folder.path()), &options);
    let data = Example::new(80).with_column("part", |row| number(row).to_owned()).csv(folder.path());
    assert_eq!(words, metrics(&data, &options));
    let data = Example::new(80).with_column("part", |row| (row % 4).to_string()).csv(folder.path());
    let expected = r#"error: the split is "3" in data row 4: expected train, validation or test"#;
    assert_eq!(complaint(&data, &options), format!("{expected}\n"));
}

#[test]
fn what_says_twice_how_to_split_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    for options in [
        &["--folds", "5"][..],
        &["--fold", "1"],
        &["--folds", "2", "--fold", "1"],
        &["--fractions", "0.8,0.1"],
        &["--fractions", "0.8,0.1,0.2"],
        &["--fractions", "1,0,0"],
        &["--fractions", "0.8,0.1,0.1", "--folds", "5", "--fold", "1"],
        &["--split", "a", "--split-by", "index"],
        &["--split-file", "a.csv", "--split-by", "index"],
    ] {
        usage_error(&mut train(&data, options));
    }
    assert!(complaint(&data, &["--folds", "5", "--fold", "6"]).contains("--fold 6 is above --folds 5"));
}
