//! Notes on features that give a label away.

use std::path::{Path, PathBuf};
use std::process::Command;

use npyz::AutoSerialize;
use npyz::npz::NpzWriter;

use crate::program::{finish, program, text, train};
use crate::tables::{Example, add};

/// 200 rows of 8 features and 3 labels that have nothing to do with one another, changed by the caller.
struct Numbers {
    x: Vec<[f32; 8]>,
    y: Vec<[f32; 3]>,
}

impl Numbers {
    fn new() -> Self {
        let cell = |row: usize, column: usize| ((row * 8 + column) as f32 * 12.9898).sin() * 43.758 % 1.0;
        let label = |row: usize, column: usize| match cell(row + 999, column) {
            noise if noise < -0.5 => f32::NAN,
            noise => f32::from(noise > 0.2),
        };
        Self {
            x: (0..200).map(|row| std::array::from_fn(|column| cell(row, column))).collect(),
            y: (0..200).map(|row| std::array::from_fn(|column| label(row, column))).collect(),
        }
    }

    fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("numbers.npz");
        let mut archive = NpzWriter::create(&path).unwrap();
        let rows = self.x.len() as u64;
        add(&mut archive, "X", f32::default_dtype(), &[rows, 8], self.x.concat());
        add(&mut archive, "Y", f32::default_dtype(), &[rows, 3], self.y.concat());
        path
    }

    fn notes(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        notes(program().args(["inspect", "--data"]).arg(self.save(folder.path())))
    }
}

fn notes(command: &mut Command) -> String {
    String::from_utf8(finish(command).stderr).unwrap()
}

const APART: &str = "note: each of these features alone separates the classes of a label on all its observed rows";
const STEPS: &str = "note: these features grow by the same step from row to row, as a row number does";

#[test]
fn a_row_number_is_noted() {
    assert_eq!(Numbers::new().notes(), "");
    for (start, step) in [(0.0, 1.0), (1.0, 1.0), (500.0, -2.5)] {
        let mut numbers = Numbers::new();
        numbers.x.iter_mut().zip(0..).for_each(|(row, place)| row[5] = start + step * place as f32);
        assert_eq!(numbers.notes(), format!("{STEPS}: 5\n"));
        // One other row is enough.
        numbers.x[150][5] += 1.0;
        assert_eq!(numbers.notes(), "");
    }
    let mut constant = Numbers::new();
    constant.x.iter_mut().for_each(|row| row[5] = 3.0);
    assert_eq!(constant.notes(), "");
}

#[test]
fn steps_that_f32_rounds_are_noted() {
    let with = |value: &dyn Fn(usize) -> f64| {
        let mut numbers = Numbers::new();
        numbers.x.iter_mut().enumerate().for_each(|(place, row)| row[5] = value(place) as f32);
        numbers.notes()
    };
    // Times one minute apart, of which `f32` distinguishes every second one, identifiers above 2^24, and tenths.
    for (start, step) in [(1_700_000_000.0, 60.0), (20_000_001.0, 1.0), (0.3, 0.1)] {
        assert_eq!(with(&|place| start + step * place as f64), format!("{STEPS}: 5\n"), "{start}");
        // A jump larger than rounding.
        let jump = 4e-7 * (start + step * 199.0);
        let jumps = |place: usize| start + step * place as f64 + if place == 100 { jump } else { 0.0 };
        assert_eq!(with(&jumps), "", "{start}");
    }
    // Two numbers next to each other.
    assert_eq!(with(&|place| 20_000_000.0 + 2.0 * f64::from(place >= 100)), "");
}

#[test]
fn a_row_number_is_noted_in_a_table_read_in_parts_and_not_in_a_few_rows() {
    let folder = tempfile::tempdir().unwrap();
    let of = |rows: usize| {
        let data = Example::new(rows).with_column("id", |row| row.to_string()).csv(folder.path());
        notes(program().args(["inspect", "--labels", "y*", "--data"]).arg(data))
    };
    // 16 MiB hold 1.4 million rows of three features.
    let many = of(1_500_000);
    assert_eq!(many, format!("{STEPS}: \"id\"\n"));
    assert_eq!(of(10), format!("{STEPS}: \"id\"\n"));
    assert_eq!(of(9), "");
}

#[test]
fn a_feature_that_is_the_label_is_noted() {
    for (high, low) in [(1.0, 0.0), (0.0, 1.0), (0.5, -3.0), (-7.0, -6.5)] {
        let mut numbers = Numbers::new();
        for (row, labels) in numbers.x.iter_mut().zip(&numbers.y) {
            row[2] = if labels[1] == 1.0 { high } else { low };
            // Missing labels do not matter.
            if labels[1].is_nan() {
                row[2] = 100.0 * row[3];
            }
        }
        assert_eq!(numbers.notes(), format!("{APART}: 2 (\"1\")\n"));
        // The last observed row of the other class.
        let last = numbers.y.iter().rposition(|labels| labels[1] == 0.0).unwrap();
        numbers.x[last][2] = high;
        assert_eq!(numbers.notes(), "");
    }
    let mut many = Numbers::new();
    for (row, labels) in many.x.iter_mut().zip(&many.y) {
        row[..4].fill(labels[0]);
        row.iter_mut().filter(|cell| cell.is_nan()).for_each(|cell| *cell = 0.5);
    }
    assert_eq!(many.notes(), format!("{APART}: 0 (\"0\"), 1 (\"0\"), 2 (\"0\") and at least 1 more\n"));
}

#[test]
fn what_may_be_chance_is_not_noted() {
    // With 4 positives and 7 negatives: 2 of 330 orders, for each of 8 features.
    let few = |observed: usize| {
        let mut numbers = Numbers::new();
        for (place, (row, labels)) in numbers.x.iter_mut().zip(&mut numbers.y).enumerate() {
            *labels = [f32::NAN; 3];
            if place < observed {
                labels[0] = f32::from(place % 3 == 0);
                row[0] = labels[0];
            }
        }
        numbers.notes()
    };
    assert_eq!(few(11), "");
    assert_eq!(few(40), format!("{APART}: 0 (\"0\")\n"));
    // Repeated rows of a group, and other rows of the same group.
    let grouped = |repeat: usize, other: usize| {
        let folder = tempfile::tempdir().unwrap();
        let row = |place: usize| {
            let (group, noise) = (place / repeat, place * 7919 % other);
            format!("{0},{0},{noise},{group}\n", u8::from(group.is_multiple_of(3)))
        };
        let path = folder.path().join("grouped.csv");
        std::fs::write(&path, "x,y,noise,group\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
        notes(program().args(["inspect", "--labels", "y", "--group", "group", "--data"]).arg(path))
    };
    let noted = format!("{APART}: \"x\" (\"y\")\n");
    assert_eq!((grouped(1, 1), grouped(6, 1), grouped(6, 101)), (noted.clone(), String::new(), noted));
    let mut soft = Numbers::new();
    for (place, (row, labels)) in soft.x.iter_mut().zip(&mut soft.y).enumerate() {
        row[0] = labels[0].max(0.0);
        // A few labels are neither class, and the feature does not predict them.
        if place % 20 == 0 {
            labels[0] = 0.5;
        }
    }
    assert_eq!(soft.notes(), "");
}

#[test]
fn training_and_comparing_say_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(80).with_column("id", |row| row.to_string()).csv(folder.path());
    let expected = format!("{STEPS}: \"id\"\n");
    let options = ["--labels", "y*", "--epochs", "1"];
    assert_eq!(notes(&mut train(&data, &options)), expected);
    let mut compare = program();
    compare.args(["compare", "--seeds", "1", "--data", text(&data)]).args(options).args(["--hidden", "4"]);
    assert_eq!(notes(&mut compare), expected);
}
