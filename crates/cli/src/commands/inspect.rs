//! `inspect`: what is in a table.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::cli::args::Inspect;
use crate::data::{Block, Features, Table, chunk, leaks};
use crate::note::note;
use crate::report::terminal::{print, row, table};

/// Number of labels listed by default.
const SHOWN: usize = 20;
/// Most labels for which every pair is shown.
const SQUARE: usize = 12;
/// Most labels for which pairs are counted: time and memory grow with the square.
const COUNTED: usize = 2000;

pub fn run(Inspect { source, all }: &Inspect) -> Result<()> {
    let table = Table::read(source)?;
    leaks::notes(&table)?.iter().for_each(note);
    let counts = Counts::of(&table)?;
    print(format_args!(
        "{} rows, {} features, {} labels",
        table.rows(),
        table.features.width(),
        table.label_names.len()
    ))?;
    print(format_args!("Features: {}", describe(&table.features)))?;
    print(counts.summary(&table.label_names))?;
    print(counts.label_table(&table.label_names, if *all { usize::MAX } else { SHOWN }))?;
    if counts.observed.len() > SHOWN {
        print(counts.quartile_table())?;
    }
    together(&table)
}

fn describe(features: &Features) -> String {
    let describe_block = |block: &Block| {
        let cells = features.rows() * block.width();
        format!("{} as {}, {} nonzero", block.width(), block.kind(), percent(block.nonzero(), cells))
    };
    features.blocks().iter().map(describe_block).collect::<Vec<_>>().join("; ")
}

/// What is observed of each label.
struct Counts {
    rows: i64,
    observed: Vec<i64>,
    positive: Vec<i64>,
    empty_rows: i64,
}

impl Counts {
    fn of(table: &Table) -> Result<Self> {
        let (rows, mut positive) = (table.rows(), vec![0; table.label_names.len()]);
        let mut empty = vec![true; rows as usize];
        for entries in table.entries() {
            for (row, label, value) in entries?.iter() {
                // Soft labels of at least 0.5 count as positive.
                positive[label] += i64::from(value >= 0.5);
                empty[row] = false;
            }
        }
        let empty_rows = empty.into_iter().filter(|empty| *empty).count() as i64;
        Ok(Self { rows, observed: Vec::try_from(table.labels.observed_per_label()?)?, positive, empty_rows })
    }

    fn summary(&self, names: &[String]) -> String {
        let (observed, positive): (i64, i64) = (self.observed.iter().sum(), self.positive.iter().sum());
        let cells = self.rows * names.len() as i64;
        let lonely: Vec<&str> = names
            .iter()
            .zip(self.observed.iter().zip(&self.positive))
            .filter(|(_, (observed, positive))| **positive == 0 || positive == observed)
            .map(|(name, _)| name.as_str())
            .collect();
        let more = if lonely.len() > SHOWN { format!(" and {} more", lonely.len() - SHOWN) } else { String::new() };
        let which = lonely[..lonely.len().min(SHOWN)].join(", ");
        format!(
            "Labels: {observed} of {cells} are observed ({}), {positive} of them positive ({})\n\
             Rows without any observed label: {}\n\
             Labels without both classes, which cannot be scored: {}{}",
            percent(observed, cells),
            percent(positive, observed),
            self.empty_rows,
            lonely.len(),
            if lonely.is_empty() { String::new() } else { format!(" ({which}{more})") },
        )
    }

    fn label_table(&self, names: &[String], shown: usize) -> String {
        let mut table = table(&["label", "observed", "of the rows", "positive", "of the observed"]);
        for (name, (&observed, &positive)) in names.iter().zip(self.observed.iter().zip(&self.positive)).take(shown) {
            let shares = [percent(observed, self.rows), percent(positive, observed)];
            let [of_rows, of_observed] = shares;
            table.add_row(row(name, [observed.to_string(), of_rows, positive.to_string(), of_observed]));
        }
        let rest = names.len().saturating_sub(shown);
        let more = if rest > 0 { format!("\nand {rest} more (--all shows them)") } else { String::new() };
        format!("{table}{more}")
    }

    /// The quartiles of the counts over the labels.
    fn quartile_table(&self) -> String {
        let mut table = table(&["over the labels", "minimum", "lower quartile", "median", "upper quartile", "maximum"]);
        let shares =
            |(&positive, &observed): (&i64, &i64)| (observed > 0).then(|| 100.0 * positive as f64 / observed as f64);
        let shares: Vec<f64> = self.positive.iter().zip(&self.observed).filter_map(shares).collect();
        table.add_row(row("observed", quartiles_of(&self.observed)));
        table.add_row(row("positive", quartiles_of(&self.positive)));
        // A label that is never observed has no share.
        let of = if shares.len() < self.observed.len() { format!(", {} labels", shares.len()) } else { String::new() };
        table.add_row(row(
            &format!("positive of the observed{of}"),
            quartiles(shares.iter().copied()).map(|share| format!("{share:.1} %")),
        ));
        table.to_string()
    }
}

/// Prints how many rows have both labels of each pair observed.
fn together(table: &Table) -> Result<()> {
    let names = &table.label_names;
    let labels = names.len();
    if labels < 2 {
        return Ok(());
    }
    if labels > COUNTED {
        return print(format_args!("Pairs of labels are not counted: there are more than {COUNTED} labels"));
    }
    let mut counts = Tensor::zeros([labels as i64; 2], (Kind::Double, Device::Cpu));
    let rows: Vec<i64> = (0..table.rows()).collect();
    for rows in rows.chunks(chunk(labels as i64) as usize) {
        // Within a part the counts are exact in f32.
        let part = table.labels_of(rows)?.observed()?.to_kind(Kind::Float);
        counts += part.tr().matmul(&part).to_kind(Kind::Double);
    }
    let counts: Vec<i64> = Vec::<f64>::try_from(counts.flatten(0, -1))?.iter().map(|&count| count as i64).collect();
    let count = |a: usize, b: usize| counts[a * labels + b];
    let pairs: Vec<i64> = (0..labels).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| count(a, b)).collect();
    let met = pairs.iter().filter(|&&count| count > 0).count();
    let [least, quarter, median, three_quarters, most] = quartiles_of(&pairs);
    print(format_args!(
        "Pairs of labels observed together on some row: {met} of {} ({}); rows per pair: {least} to {most}, \
         quartiles {quarter}, {median}, {three_quarters}",
        pairs.len(),
        percent(met as i64, pairs.len() as i64),
    ))?;
    if labels > SQUARE {
        return Ok(());
    }
    let header: Vec<&str> = ["observed together"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut square = self::table(&header);
    for (a, name) in names.iter().enumerate() {
        let cells: Vec<String> = (0..labels).map(|b| count(a, b).to_string()).collect();
        square.add_row(row(name, cells));
    }
    print(square)
}

/// Minimum, quartiles and maximum, with linear interpolation as in NumPy.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 5] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| {
        let place = share * sorted.len().saturating_sub(1) as f64;
        let at = |place: f64| sorted.get(place as usize).copied().unwrap_or_default();
        at(place) + place.fract() * (at(place.ceil()) - at(place))
    })
}

fn quartiles_of(counts: &[i64]) -> [String; 5] {
    quartiles(counts.iter().map(|&count| count as f64)).map(|count| count.to_string())
}

fn percent(part: i64, whole: i64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}
