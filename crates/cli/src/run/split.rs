//! Which rows train, validate and test.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use csv::{Position, StringRecord, Trim};
use masked_loss::Labels;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use tch::Tensor;

use crate::cli::splitting::{Fractions, Order, Splitting};
use crate::data::{EMPTY, Lines, Table};
use crate::input;

#[derive(Debug, Default, PartialEq)]
pub struct Split {
    pub train: Vec<i64>,
    pub validation: Vec<i64>,
    pub test: Vec<i64>,
}

/// A line of a split file.
#[derive(Serialize)]
struct Line {
    row: i64,
    part: String,
}

pub const FILE: &str = "split.csv";
const PARTS: &str = "train, validation or test";

impl Split {
    /// From the split file or the table's split column, else by the options.
    pub fn of(table: &Table, splitting: &Splitting, seed: i64) -> Result<Self> {
        let (split, by) = match (&splitting.split_file, &table.split) {
            (Some(path), _) => (Self::read(path, table.rows())?, format!("--split-file {}", path.display())),
            (None, Some(words)) => (Self::by_words(words)?, "--split".to_owned()),
            (None, None) => {
                let rows = (0..table.rows()).map(|row| vec![row]);
                let mut units = table.group.as_deref().map_or_else(|| rows.collect(), groups);
                if splitting.split_by == Order::Random {
                    units.shuffle(&mut StdRng::seed_from_u64(seed as u64));
                }
                let by = match (splitting.folds, splitting.fold, splitting.fractions) {
                    (Some(folds), Some(fold), _) => format!("--folds {folds} --fold {fold}"),
                    (.., Fractions([train, validation, test])) => format!("--fractions {train},{validation},{test}"),
                };
                let groups = table.group.as_ref().map(|_| format!(" of {} groups", units.len())).unwrap_or_default();
                (Self::cut(units, table.rows() as usize, splitting)?, by + &groups)
            }
        };
        split.check(&table.labels, &by)?;
        Ok(split)
    }

    /// A tenth for validation, a tenth for the test, and at least one row each.
    pub fn random(rows: i64, seed: i64) -> Result<Self> {
        let mut units: Vec<_> = (0..rows).map(|row| vec![row]).collect();
        units.shuffle(&mut StdRng::seed_from_u64(seed as u64));
        Self::cut(units, rows as usize, &Splitting::default())
    }

    /// Assigns units of rows, in order: each to the part that contains its middle row.
    fn cut(units: Vec<Vec<i64>>, rows: usize, splitting: &Splitting) -> Result<Self> {
        let unit = if units.len() < rows { "groups" } else { "rows" };
        let (by, least) =
            splitting.folds.map_or(("a split".to_owned(), 3), |folds| (format!("--folds {folds}"), folds));
        ensure!(
            units.len() >= least as usize,
            "{by} needs at least {least} {unit}, and the table has {} ({rows} rows)",
            units.len()
        );
        let Fractions([train, validation, test]) = splitting.fractions;
        let share = |fraction: f64| (fraction * rows as f64) as usize;
        let ends = match splitting.split_by {
            Order::Random => {
                let (validation, test) = (share(validation).max(1), share(test).max(1));
                [rows.saturating_sub(validation + test), rows.saturating_sub(test)]
            }
            // The same rows as DeepChem's IndexSplitter.
            Order::Index => [share(train), share(train + validation)],
        };
        let folds = match (splitting.folds, splitting.fold) {
            (Some(folds), Some(fold)) => {
                ensure!(fold <= folds, "--fold {fold} is above --folds {folds}");
                Some((folds as usize, fold as usize - 1))
            }
            _ => None,
        };
        let mut split = Self::default();
        let mut before = 0;
        for unit in units {
            let middle = before + (unit.len() - 1) / 2;
            before += unit.len();
            let part = match folds {
                Some((folds, test)) => {
                    let fold = middle * folds / rows;
                    if fold == test {
                        &mut split.test
                    } else if fold == (test + 1) % folds {
                        &mut split.validation
                    } else {
                        &mut split.train
                    }
                }
                None if middle < ends[0] => &mut split.train,
                None if middle < ends[1] => &mut split.validation,
                None => &mut split.test,
            };
            part.extend(unit);
        }
        Ok(split)
    }

    fn by_words(words: &[String]) -> Result<Self> {
        let mut split = Self::default();
        for (row, word) in (0..).zip(words) {
            let part = split.part(word);
            part.with_context(|| match word.trim() {
                "" => format!("the split is empty in data row {}: expected {PARTS}", row + 1),
                _ => format!("the split is {word:?} in data row {}: expected {PARTS}", row + 1),
            })?
            .push(row);
        }
        Ok(split)
    }

    fn part(&mut self, word: &str) -> Option<&mut Vec<i64>> {
        let word = word.trim().to_lowercase();
        // 0.0 is 0.
        let word = word.parse::<f64>().map_or(word, crate::data::word);
        match word.as_str() {
            "train" | "0" => Some(&mut self.train),
            "validation" | "valid" | "val" | "1" => Some(&mut self.validation),
            "test" | "2" => Some(&mut self.test),
            _ => None,
        }
    }

    /// Each part needs an observed label, to learn from or to score.
    fn check(&self, labels: &Labels, by: &str) -> Result<()> {
        let [train, validation, test] = self.parts().map(|(_, rows)| rows.len());
        for (part, rows) in self.parts() {
            ensure!(
                !rows.is_empty(),
                "the split has no {part} row: {by} gives {train} train, {validation} validation and {test} test rows"
            );
            let observed = labels.rows(&Tensor::from_slice(rows))?.observed_count()?;
            ensure!(observed.int64_value(&[]) > 0, "no label is observed in the {part} rows");
        }
        Ok(())
    }

    fn parts(&self) -> [(&'static str, &Vec<i64>); 3] {
        [("train", &self.train), ("validation", &self.validation), ("test", &self.test)]
    }

    /// In the order of the parts, so that a split that is read back gives the same bits.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        for (part, rows) in self.parts() {
            for &row in rows {
                writer.serialize(Line { row, part: part.to_owned() })?;
            }
        }
        Ok(writer.flush()?)
    }

    /// Reads a split of this many rows, each of which must occur once.
    pub fn read(path: &Path, rows: i64) -> Result<Self> {
        let read = || -> Result<_> {
            let mut split = Self::default();
            let mut seen = vec![false; rows as usize];
            for line in lines(path)? {
                let Line { row, part: word } = line?;
                let part = split.part(&word);
                part.with_context(|| match word.trim() {
                    "" => format!("row {row} has no part: expected {PARTS}"),
                    _ => format!("row {row} is {word:?}: expected {PARTS}"),
                })?
                .push(row);
                let seen = usize::try_from(row).ok().and_then(|row| seen.get_mut(row));
                let seen = seen.with_context(|| format!("there is no row {row}: the rows are 0 to {}", rows - 1))?;
                ensure!(!std::mem::replace(seen, true), "row {row} occurs twice");
            }
            match seen.iter().position(|&seen| !seen) {
                Some(row) => bail!("row {row} is missing"),
                None => Ok(split),
            }
        };
        read().with_context(|| format!("cannot use {}", path.display()))
    }
}

/// The lines of a split file.
fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Line>>> {
    let input = Lines::new(input::open(path)?);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(input);
    let header = reader.headers()?.clone();
    let [row, part] = ["row", "part"].map(|name| {
        let place = header.iter().position(|found| found == name);
        place.with_context(|| format!("it has no column {name}: expected row and part"))
    });
    let (row, part) = (row?, part?);
    let is_empty = |record: &StringRecord| record.len() == 1 && &record[0] == EMPTY;
    let records = reader.into_records().filter(move |record| !record.as_ref().is_ok_and(is_empty));
    Ok(records.map(move |record| {
        let record = record?;
        let (found, expected) = (record.len(), header.len());
        let line = record.position().map_or(0, Position::line);
        ensure!(found == expected, "line {line} has {found} cells where the header has {expected}");
        let cell = |place| record.get(place).unwrap_or_default();
        let number = cell(row).parse().ok();
        let row = number.with_context(|| format!("line {line}: expected a row number, found {:?}", cell(row)))?;
        Ok(Line { row, part: cell(part).to_owned() })
    }))
}

/// A remark on the groups: how many rows have none, or how many groups a given split divides.
pub fn remark(table: &Table, split: &Split, splitting: &Splitting) -> Option<String> {
    let words = table.group.as_ref()?;
    if table.split.is_none() && splitting.split_file.is_none() {
        let count = words.iter().filter(|group| group.is_none()).count();
        return (count > 0).then(|| format!("{count} rows have no group: each is a group of its own"));
    }
    let mut part_of = vec![0; words.len()];
    for (part, (_, rows)) in split.parts().into_iter().enumerate() {
        rows.iter().for_each(|&row| part_of[row as usize] = part);
    }
    let groups = groups(words);
    let divided =
        groups.iter().filter(|rows| rows.iter().any(|&row| part_of[row as usize] != part_of[rows[0] as usize]));
    let (count, all) = (divided.count(), groups.len());
    (count > 0)
        .then(|| format!("{count} of {all} groups have rows in several parts: --group does not change a given split"))
}

/// The rows of each group, in the order of the groups' first rows. A row without a group is a group of its own.
fn groups(words: &[Option<String>]) -> Vec<Vec<i64>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<i64>> = Vec::new();
    for (row, word) in (0..).zip(words) {
        let new = groups.len();
        let place = word.as_ref().map_or(new, |word| *places.entry(word).or_insert(new));
        if place == new {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
}
