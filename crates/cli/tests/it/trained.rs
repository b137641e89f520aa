//! Small tables, and the files of training on them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, finish, read_json};

pub const CHARTS: [&str; 4] = ["curves.svg", "labels.svg", "calibration.svg", "observed.svg"];
pub const ODD: &str = r#"l <b>&"'"#;

/// A folder with a table and the files of training on it.
pub struct Trained {
    folder: TempDir,
    pub table: PathBuf,
}

impl Trained {
    /// `label`: the label of a row, NaN where missing. Of every ten rows, eight train; the last one is a test row.
    pub fn on(names: &[&str], rows: usize, label: impl Fn(usize, usize) -> f64, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table.csv");
        let mut writer = csv::Writer::from_path(&table).unwrap();
        writer.write_record(["a", "b", "part"].iter().chain(names)).unwrap();
        for row in 0..rows {
            let features = [2.0, 3.0].map(|step| (row as f64 * step).sin().to_string());
            let part = ["train", "validation", "test"][(row % 10).saturating_sub(7)].to_owned();
            let labels = (0..names.len()).map(|column| label(row, column).to_string());
            writer.write_record(features.into_iter().chain([part]).chain(labels)).unwrap();
        }
        writer.flush().unwrap();
        let trained = Self { folder, table };
        trained.train(arguments);
        trained
    }

    pub fn train(&self, arguments: &[&str]) {
        let options = ["--labels", "l*", "--split", "part"];
        finish(program::train(&self.table, &options).args(arguments).arg("--out").arg(self.path("run")));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("run").join(name)).unwrap()
    }

    pub fn metrics(&self) -> Value {
        read_json(&self.path("run/metrics.json"))
    }
}

/// Four labels: an odd name, an ordinary one, one that no test row observes, one that is always true.
pub fn four() -> Trained {
    let label = |row: usize, column: usize| match column {
        _ if (row / 10 + column).is_multiple_of(3) => f64::NAN,
        2 if row % 10 == 9 => f64::NAN,
        3 => 1.0,
        _ => f64::from((row as f64 * [2.0, 3.0, 2.0][column]).sin() > 0.0),
    };
    Trained::on(&[ODD, "l2", "l untested", "l true"], 80, label, &[])
}

pub fn many() -> Trained {
    let names: Vec<String> = (0..130).map(|label| format!("l{label}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let label = |row: usize, column: usize| match (row * 7 + column * 13) % (3 + column) {
        0 | 1 => f64::from((row as f64 * 2.0).sin() > 0.0),
        _ => f64::NAN,
    };
    Trained::on(&names, 300, label, &["--epochs", "2"])
}
