//! Tables and sentences on standard output.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment};

use crate::run::evaluate::Evaluation;

pub const FAILED: &str = "cannot write to standard output";

/// Prints to standard output. If its reader has gone, the error is [`BrokenPipe`](io::ErrorKind::BrokenPipe).
pub fn print(text: impl Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}").context(FAILED)
}

/// With more than `LISTED` labels, only `SHOWN` are printed.
const LISTED: usize = 2000;
const SHOWN: usize = 20;

/// A row for each label, then the macro averages.
pub fn scores(evaluation: &Evaluation) -> comfy_table::Table {
    let mut table = table(&["label", "observed", "positive", "AUROC", "average precision"]);
    let all = evaluation.labels.len();
    let shown = if all > LISTED { SHOWN } else { all };
    for label in &evaluation.labels[..shown] {
        table.add_row(row(
            &label.name,
            [
                label.observed.to_string(),
                label.positive.to_string(),
                metric(label.auroc),
                metric(label.average_precision),
            ],
        ));
    }
    if shown < all {
        table.add_row(row(&format!("and {} more", all - shown), []));
    }
    let [observed, positive] = [
        evaluation.labels.iter().map(|label| label.observed).sum::<usize>(),
        evaluation.labels.iter().map(|label| label.positive).sum(),
    ];
    let macro_row = [
        observed.to_string(),
        positive.to_string(),
        metric(evaluation.macro_auroc),
        metric(evaluation.macro_average_precision),
    ];
    let scored = format!("macro, {} of {all} labels", evaluation.scored_labels);
    table.add_row(row(&scored, macro_row));
    table
}

/// A row for each way of training.
pub fn comparison(runs: &[(&str, Evaluation)]) -> comfy_table::Table {
    let mut table = table(&["missing labels are", "AUROC", "average precision", "labels with both classes"]);
    for (name, evaluation) in runs {
        let labels = scored_labels(&[evaluation.scored_labels], evaluation.labels.len());
        let cells = [metric(evaluation.macro_auroc), metric(evaluation.macro_average_precision), labels];
        table.add_row(row(name, cells));
    }
    table
}

/// A mean and a standard deviation.
struct Spread {
    mean: f64,
    /// The sample deviation; `None` for a single value.
    deviation: Option<f64>,
}

impl Spread {
    /// `None` for no values.
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation })
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.mean)?;
        self.deviation.map_or(Ok(()), |deviation| write!(f, " ± {deviation:.3}"))
    }
}

/// The mean over the seeds for which the value is defined, with their number unless these are all seeds.
pub fn spread(values: &[f64], seeds: usize) -> String {
    let text = Spread::of(values).map_or_else(|| "–".to_owned(), |spread| spread.to_string());
    if values.len() == seeds { text } else { format!("{text} ({} of {seeds} seeds)", values.len()) }
}

/// The number of labels in the macro averages; a range if the seeds differ.
pub fn scored_labels(counts: &[usize], labels: usize) -> String {
    let (low, high) = counts.iter().fold((labels, 0), |(low, high), &count| (low.min(count), high.max(count)));
    if low < high { format!("{low}–{high} of {labels}") } else { format!("{high} of {labels}") }
}

/// A row for each loss and policy.
pub fn spreads(runs: &[(String, [String; 3])]) -> comfy_table::Table {
    let mut table = table(&["loss", "AUROC", "average precision", "labels with both classes"]);
    for (name, cells) in runs {
        table.add_row(row(name, cells.clone()));
    }
    table
}

pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}

pub fn row(name: &str, numbers: impl IntoIterator<Item = String>) -> Vec<Cell> {
    let numbers = numbers.into_iter().map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
    [Cell::new(name)].into_iter().chain(numbers).collect()
}

/// A dash if no label has both classes.
fn metric(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}
