//! Labels in long format: a line for each observed entry, with the row, the label and the value.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use masked_loss::Labels;
use tch::Tensor;

use super::arrays::chosen;
use super::arrow::{Column, rounding};
use super::cell;
use super::columns::trimmed;
use super::csv::Rows;
use super::decode::{Decoder, EXACT, Rounding};
use super::features::Features;
use super::parquet::ColumnFile;
use super::raw::Raw;
use crate::cli::source::Source;

/// Entries in the order of the file.
#[derive(Default)]
struct Long {
    rows: Vec<i64>,
    /// The number in `words` of each entry's label.
    labels: Vec<usize>,
    values: Vec<f64>,
    words: HashMap<String, usize>,
}

/// The entries of `--data`, for these features.
pub fn read(source: &Source, columns: &[String], features: Features) -> Result<Raw> {
    let [row, label, value] = columns else {
        bail!("--long: expected three columns (row, label and value), found {}", columns.len());
    };
    let given =
        [("--split", source.split.is_some()), ("--group", source.group.is_some()), ("--bits", !source.bits.is_empty())];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        bail!("{option} needs a line per row, but with --long a line is an entry");
    }
    let name = source.data.to_string_lossy().to_lowercase();
    let (long, rounding) = match () {
        () if name.ends_with(".csv") || name.ends_with(".csv.gz") => (csv(&source.data, [row, label, value])?, EXACT),
        () if name.ends_with(".parquet") => parquet(&source.data, [row, label, value])?,
        () => bail!("with --long, its name must end in .csv, .csv.gz or .parquet"),
    };
    long.labelled(source, features, rounding)
}

fn csv(path: &Path, names: [&String; 3]) -> Result<Long> {
    let (mut table, mut long) = (Rows::open(path)?, Long::default());
    let header = trimmed(&table.header);
    let [row, label, value] = places(&header, names)?;
    while table.next(|line, record| {
        long.push(
            cell::number(&record[row], line, &header[row])?,
            &record[label],
            cell::number(&record[value], line, &header[value])?,
        )
    })? {}
    Ok(long)
}

fn parquet(path: &Path, names: [&String; 3]) -> Result<(Long, Rounding)> {
    let (table, mut long) = (ColumnFile::open(path)?, Long::default());
    let header = trimmed(&table.header());
    let places = places(&header, names)?;
    let mut before = 0;
    let mut wanted = places;
    wanted.sort();
    for batch in table.batches(&wanted)? {
        let batch = batch?;
        let column = |place: usize| {
            let cells = batch.column(wanted.iter().position(|&wanted| wanted == place).unwrap_or_default());
            Column { name: &header[place], cells, before }
        };
        let [row, label, value] = places.map(column);
        for ((row, label), value) in row.labels()?.into_iter().zip(label.words()?).zip(value.labels()?) {
            long.push(row, &label, value)?;
        }
        before += batch.num_rows() as i64;
    }
    Ok((long, rounding(table.schema(places[2]))))
}

/// The positions of these columns, which must differ.
fn places(header: &[String], names: [&String; 3]) -> Result<[usize; 3]> {
    let mut places = [0; 3];
    for (place, name) in places.iter_mut().zip(names) {
        let mut found = (0..header.len()).filter(|&column| header[column] == name.trim());
        *place = found
            .next()
            .with_context(|| format!("--long: there is no column {name:?}; there are {}", header.join(", ")))?;
        ensure!(found.next().is_none(), "two columns are named {name:?}");
    }
    let [row, label, value] = places;
    ensure!(row != label && label != value && row != value, "--long names a column twice");
    Ok(places)
}

impl Long {
    fn push(&mut self, row: f64, label: &str, value: f64) -> Result<()> {
        let line = self.rows.len() + 1;
        ensure!(
            row.fract() == 0.0 && row >= 0.0,
            "the row is {row} in data row {line}: expected a whole number from 0"
        );
        let label = label.trim();
        ensure!(!label.is_empty(), "data row {line} names no label");
        let next = self.words.len();
        let word = match self.words.get(label) {
            Some(&word) => word,
            None => *self.words.entry(label.to_owned()).or_insert(next),
        };
        self.rows.push(row as i64);
        self.labels.push(word);
        self.values.push(value);
        Ok(())
    }

    fn labelled(self, source: &Source, features: Features, rounding: Rounding) -> Result<Raw> {
        let Self { rows, labels, values, words } = self;
        let count = features.rows();
        if let Some(line) = rows.iter().position(|row| !(0..count).contains(row)) {
            bail!("the row is {} in data row {}, but the features have {count} rows, from 0", rows[line], line + 1);
        }
        let (columns, names) = selected(&words, source)?;
        let mut decoder = Decoder::new(source, &names);
        let mut entries = Vec::new();
        for (line, ((row, word), value)) in rows.into_iter().zip(labels).zip(values).enumerate() {
            let Some(label) = columns[word] else { continue };
            entries.push((row, label as i64, decoder.label(value, rounding, line as i64 + 1, label)?));
        }
        entries.sort_by_key(|&(row, label, _)| (row, label));
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 == pair[1].1) {
            bail!("row {} has label {:?} twice", twice[0].0, names[twice[0].1 as usize]);
        }
        entries.retain(|(.., value)| !value.is_nan());
        let column = |of: fn(&(i64, i64, f32)) -> i64| Tensor::from_slice(&entries.iter().map(of).collect::<Vec<_>>());
        let values = Tensor::from_slice(&entries.iter().map(|entry| entry.2).collect::<Vec<_>>());
        let size = [count, names.len() as i64];
        let labels = Labels::from_entries(&column(|entry| entry.0), &column(|entry| entry.1), &values, size)?;
        let notes = decoder.notes();
        Ok(Raw { labels: Some(labels), notes, label_names: names, ..Raw::of_features(features) })
    }
}

/// The selected label that each word names, if any, and the names of the selected labels: the network's first, in its
/// order.
fn selected(words: &HashMap<String, usize>, source: &Source) -> Result<(Vec<Option<usize>>, Vec<String>)> {
    let known = source.known_labels.as_deref().unwrap_or_default();
    let is_known: HashSet<_> = known.iter().map(|name| name.trim()).collect();
    let others = words.keys().filter(|word| !is_known.contains(word.as_str())).cloned().collect();
    let all = [known.to_vec(), ordered(others)].concat();
    let (columns, names) = chosen(all.len() as i64, Some(all), source)?;
    if let Some(place) = columns.iter().position(|&column| column >= known.len()).filter(|_| !known.is_empty()) {
        bail!("label {:?} is not a label of the network", names[place]);
    }
    let of_name: HashMap<_, _> = names.iter().zip(0..).collect();
    let mut places = vec![None; words.len()];
    words.iter().for_each(|(name, &word)| places[word] = of_name.get(name).copied());
    Ok((places, names))
}

/// Sorted as numbers if all are numbers, else as text: the order of the lines does not matter.
fn ordered(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    if words.iter().all(|word| word.parse::<i64>().is_ok()) {
        words.sort_by_key(|word| word.parse::<i64>().unwrap_or_default());
    }
    words
}
