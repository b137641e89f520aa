//! Unusable tables are refused, in one sentence.

use std::fs;
use std::io::Write;
use std::path::Path;

use npyz::zip::ZipWriter;
use npyz::zip::write::FileOptions;

use crate::program::{complaint, program, sentence, text, train, usage_error};
use crate::tables::Example;

#[test]
fn bad_tables_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let refuse = |content: &str, arguments: &[&str], sentence: &str| {
        fs::write(&table, content).unwrap();
        let found = complaint(&table, arguments);
        assert_eq!(found, format!("error: cannot use {}: {sentence}\n", table.display()));
    };
    let y = ["--labels", "y"];
    refuse("a,y\n1,0\n", &["--labels", "z"], r#"there is no column "z"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "z*"], r#"there is no column "z*"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "y", "--ignore", "id"], r#"there is no column "id"; there are a, y"#);
    refuse("a,y\n1,0\n", &["--labels", "y", "--split", "s"], r#"there is no column "s"; there are a, y"#);
    refuse("a,y\n1,0\n", &[], "--labels is missing: expected the names of the label columns");
    refuse("a,a,y\n1,1,0\n", &y, r#"two columns are named "a""#);
    refuse(
        "a,y\n1,0\n1,high\n",
        &y,
        r#"line 3: "high" in data row 2, column "y" is not a number; --ignore leaves the column out"#,
    );
    refuse(
        "a,y\nC=O,0\n",
        &y,
        r#"line 2: "C=O" in data row 1, column "a" is not a number; --ignore leaves the column out"#,
    );
    refuse("a,y\n1,0\n1\n", &y, "line 3: data row 2 has 1 cells where the header has 2");
    refuse("a,y\n1,0\n1,0,1\n", &y, "line 3: data row 2 has 3 cells where the header has 2");
    refuse("a,y\n1,?\n1,NA\n1,\n1,nan\n", &y, "no label is observed at all");
    refuse(
        "a,y\n1,0\n,1\n",
        &y,
        r#"feature "a" is NaN in data row 2: only labels may be missing (see --labels and --ignore)"#,
    );
    refuse("a,y\n1,0\ninf,1\n", &y, r#"feature "a" is inf in data row 2: it must be finite as f32"#);
    let range = "outside [0, 1]: --threshold makes labels binary, --missing-value names a number that means missing";
    refuse("a,y\n1,0\n1,2\n", &y, &format!(r#"line 3: label "y" is 2 in data row 2, {range}"#));
    refuse("a,y\n1,0\n1,-1\n", &y, &format!(r#"line 3: label "y" is -1 in data row 2, {range}"#));
    refuse("a,y\n", &y, "there is no row");
    refuse("y\n1\n", &y, "no feature remains after --labels and --ignore");
    refuse("a,y\n1,0\n", &["--labels", "y*", "--ignore", "y"], "no label remains after --labels and --ignore");
}

#[test]
fn a_split_that_leaves_a_part_empty_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let refuse = |content: &str, arguments: &[&str], sentence: &str| {
        fs::write(&table, content).unwrap();
        let found = complaint(&table, &[&["--labels", "y"], arguments].concat());
        assert_eq!(found, format!("error: {sentence}\n"));
    };
    refuse("a,y\n1,0\n1,1\n", &[], "a split needs at least 3 rows, and the table has 2 (2 rows)");
    refuse("a,y\n1,0\n", &[], "a split needs at least 3 rows, and the table has 1 (1 rows)");
    let three = "a,y,g\n1,0,p\n1,1,p\n2,1,q\n";
    let index = ["--split-by", "index", "--ignore", "g"];
    let empty = "the split has no validation row: --fractions 0.8,0.1,0.1 gives 2 train, 0 validation and 1 test rows";
    refuse(three, &index, empty);
    let group = ["--group", "g"];
    refuse(three, &group, "a split needs at least 3 groups, and the table has 2 (3 rows)");
    let folds = ["--folds", "5", "--fold", "1"];
    refuse(three, &[&group[..], &folds].concat(), "--folds 5 needs at least 5 groups, and the table has 2 (3 rows)");
    refuse(
        three,
        &[&["--ignore", "g"], &folds[..]].concat(),
        "--folds 5 needs at least 5 rows, and the table has 3 (3 rows)",
    );
    let large = "a,y,g\n1,0,p\n1,1,p\n2,1,p\n3,1,p\n4,1,p\n5,0,p\n6,0,q\n7,1,r\n8,0,r\n";
    refuse(
        large,
        &["--group", "g", "--split-by", "index", "--folds", "3", "--fold", "2"],
        "the split has no test row: --folds 3 --fold 2 of 3 groups gives 6 train, 3 validation and 0 test rows",
    );
    let split = ["--split", "s"];
    refuse(
        "a,y,s\n1,0,train\n1,1,dev\n",
        &split,
        r#"the split is "dev" in data row 2: expected train, validation or test"#,
    );
    refuse(
        "a,y,s\n1,0,train\n1,1,val\n",
        &split,
        "the split has no test row: --split gives 1 train, 1 validation and 0 test rows",
    );
    refuse("a,y,s\n1,0,0\n1,,1\n1,1,2\n", &split, "no label is observed in the validation rows");
}

#[test]
fn files_that_are_not_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(complaint(&path("none.csv"), &["--labels", "y"]).contains("No such file"));
    assert!(complaint(&path("none.npz"), &[]).contains("No such file"));
    assert!(complaint(&path("none.safetensors"), &[]).contains("No such file"));
    assert!(complaint(&path("table.xlsx"), &[]).contains("must end in .csv, .csv.gz, .parquet, .npz or .safetensors"));
    for name in ["broken.npz", "broken.safetensors", "broken.csv.gz"] {
        fs::write(path(name), "neither of these formats").unwrap();
        complaint(&path(name), &["--labels", "y"]);
    }
    fs::write(path("empty.csv"), "").unwrap();
    assert!(complaint(&path("empty.csv"), &["--labels", "y"]).contains("expected a header, found an empty file"));
    let data = Example::new(80).npz(folder.path());
    assert!(complaint(&data, &["--split", "part"]).contains("there is no array part"));
    assert!(complaint(&data, &["--group", "Y"]).contains("--group Y names an array that is not a column"));
    assert!(complaint(&data, &["--labels", "y3"]).contains(r#"there is no column "y3"; there are y1, y2"#));
}

#[test]
fn messages_say_once_and_in_words_what_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let data = Example::new(80).npz(folder.path());
    let missing = "No such file or directory (os error 2)";
    let a_folder = "expected a file, found a folder";
    for ending in ["csv", "csv.gz", "parquet", "npz", "safetensors", "toml"] {
        let (none, directory) = (path(&format!("none.{ending}")), path(&format!("folder.{ending}")));
        fs::create_dir(&directory).unwrap();
        for (file, sentence) in [(&none, missing), (&directory, a_folder)] {
            let complain = |data: &Path, options: &[&str]| {
                assert_eq!(complaint(data, options), format!("error: cannot use {}: {sentence}\n", file.display()));
            };
            match ending {
                "toml" => complain(&data, &["--config", text(file)]),
                _ => complain(file, &["--labels", "y"]),
            }
            if let "npz" | "safetensors" = ending {
                complain(&data, &["--features", text(file)]);
            }
            if ending == "csv" {
                complain(&data, &["--split-file", text(file)]);
            }
        }
        let broken = path(&format!("broken.{ending}"));
        fs::write(&broken, [9, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']).unwrap();
        if ending != "csv" && ending != "toml" {
            let found = complaint(&broken, &["--labels", "y"]);
            assert!(!found.contains(['{', '(']), "{found}");
            let parts: Vec<_> = found.trim_end().split(": ").collect();
            let distinct: std::collections::HashSet<_> = parts.iter().collect();
            assert_eq!(parts.len(), distinct.len(), "{found}");
        }
    }
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = complaint(&Example::new(80).npz(folder.path()), &["--device", "cuda:99"]);
    let expected = if tch::Cuda::is_available() { "there is no cuda:99" } else { "CUDA is not usable here" };
    assert!(complaint.contains(expected), "{complaint}");
}

#[test]
fn seeds_beyond_the_largest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).npz(folder.path());
    let mut compare = program();
    compare.args(["compare", "--seeds", "3", "--seed", "9223372036854775806", "--data"]).arg(data);
    assert_eq!(sentence(&mut compare), "error: --seed 9223372036854775806 is too large for --seeds 3\n");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (flag, number) in [
        ("--hidden", "100000000000"),
        ("--threshold", "nan"),
        ("--threshold", "inf"),
        ("--missing-value", "inf"),
        ("--lr", "-1"),
    ] {
        let complaint = usage_error(&mut train(Path::new("table.csv"), &[flag, number]));
        assert!(complaint.contains(&format!("invalid value '{number}' for '{flag}")), "{complaint}");
    }
}

#[test]
fn a_shape_too_large_to_count_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.npz");
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }");
    let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
    archive.start_file("X.npy", FileOptions::default()).unwrap();
    archive.write_all(&[b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat()).unwrap();
    archive.finish().unwrap();
    assert!(complaint(&path, &[]).ends_with("array X: its shape is too large\n"));
}

// Other systems may promise memory that does not exist.
#[cfg(target_os = "linux")]
#[test]
fn a_network_too_large_for_any_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let found = complaint(&Example::new(80).npz(folder.path()), &["--hidden", "1000000,1000000"]);
    assert!(found.starts_with("error: cannot make a network of 2 x 1000000 x 1000000 x 2 units"), "{found}");
}

#[test]
fn a_flag_that_needs_a_table_asks_for_it() {
    assert!(usage_error(program().args(["train", "--threshold", "0.5"])).contains("--data <FILE>"));
}
