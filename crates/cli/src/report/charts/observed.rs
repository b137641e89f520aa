//! `observed.svg`: which labels of which rows are observed.

use anyhow::Result;
use maud::{Markup, html};

use super::chart::{Chart, LINE, MARGIN, Plot, TOP, WIDTH, px};
use super::scale::{self, Scale, thousands};
use super::text;
use crate::data::Table;

pub const FILE: &str = "observed.svg";

const RIGHT: f64 = WIDTH - 24.0;
/// Width of the share of a named label.
const SHARE: f64 = 40.0;
/// Most labels that have a line and a name of their own.
const NAMED: usize = 24;
/// Most cells: more could not be distinguished.
const ACROSS: usize = 90;
const DOWN: usize = 80;
/// The upper ends of the shades, in percent; the finer ones are for sparse tables.
const EVEN: &[f64] = &[20.0, 40.0, 60.0, 80.0, 100.0];
const FINE: &[f64] = &[0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// Shares observed: `[labels][rows]`, both grouped if there are too many.
struct Grid {
    shares: Vec<Vec<f64>>,
    rows: usize,
    labels: usize,
}

impl Grid {
    fn of(table: &Table) -> Result<Self> {
        let (rows, labels) = (table.rows() as usize, table.label_names.len());
        let [across, down] = [groups(rows, ACROSS), groups(labels, DOWN)];
        let mut counts = vec![vec![0u64; across.len()]; down.len()];
        let [of_row, of_label] = [&across, &down].map(|groups| {
            let group = |(group, &(from, to)): (usize, &(usize, usize))| std::iter::repeat_n(group, to - from);
            groups.iter().enumerate().flat_map(group).collect::<Vec<_>>()
        });
        for entries in table.entries() {
            entries?.iter().for_each(|(row, label, _)| counts[of_label[label]][of_row[row]] += 1);
        }
        let share = |count: u64, (from, to): (usize, usize), (left, right): (usize, usize)| {
            count as f64 / ((to - from) * (right - left)) as f64
        };
        let line = |(counts, &label): (Vec<u64>, &(usize, usize))| {
            counts.into_iter().zip(&across).map(|(count, &row)| share(count, row, label)).collect()
        };
        Ok(Self { shares: counts.into_iter().zip(&down).map(line).collect(), rows, labels })
    }

    /// The share observed of a label that has its own line.
    fn of_label(&self, label: usize) -> f64 {
        let rows = groups(self.rows, ACROSS).into_iter().map(|(from, to)| to - from);
        rows.zip(&self.shares[label]).map(|(rows, share)| rows as f64 * share).sum::<f64>() / self.rows as f64
    }

    fn is_of_entries(&self) -> bool {
        self.rows <= ACROSS && self.labels <= DOWN
    }

    /// Where the shades end, in percent.
    fn shades(&self) -> &'static [f64] {
        let (mut sum, mut count) = (0.0, 0.0);
        self.shares.iter().flatten().for_each(|share| (sum, count) = (sum + share, count + 1.0));
        match () {
            () if self.is_of_entries() => &[100.0],
            () if sum / count < 0.1 => FINE,
            () => EVEN,
        }
    }
}

/// Groups neighbours into at most this many groups.
fn groups(count: usize, most: usize) -> Vec<(usize, usize)> {
    let groups = count.min(most);
    (0..groups).map(|group| (group * count / groups, (group + 1) * count / groups)).collect()
}

pub fn chart(table: &Table) -> Result<Chart> {
    let (grid, names) = (Grid::of(table)?, &table.label_names);
    let named = names.len() <= NAMED;
    let widest = names.iter().map(|name| text::width(name, 12.0)).fold(0.0, f64::max);
    let left = if named { (widest + 14.0).clamp(40.0, 150.0) + MARGIN } else { 64.0 };
    let height = if named { (18.0 * names.len() as f64).max(54.0) } else { 320.0 };
    let shades = grid.shades();
    let legend = legend(shades, grid.is_of_entries());
    let top = TOP + 26.0;
    let (rows, columns) = (grid.rows as f64, grid.labels as f64);
    let right = if named { RIGHT - SHARE } else { RIGHT };
    let x = Scale::linear((0.0, rows), (left, right));
    // Labels go down, as their names do.
    let plot = Plot { left, x, y: Scale::linear((columns, 0.0), (top + height, top)) };
    let body = html! {
        (legend)
        @if named {
            @for (number, name) in names.iter().enumerate() {
                @let y = px(plot.y.at(number as f64 + 0.5) + 4.0);
                text.small.end x=(px(left - 6.0)) y=(y) {
                    (text::cut(name, left - MARGIN - 8.0, 12.0)) title { (name) }
                }
                text.quiet.small.end x=(WIDTH - MARGIN) y=(y) { (format!("{:.1}\u{a0}%", 100.0 * grid.of_label(number))) }
            }
        } @else {
            (plot.y_axis(&scale::whole_ticks((0.0, columns), 6), "label, from 0"))
        }
        (plot.x_axis(&scale::whole_ticks((0.0, rows), 5), "row of the table, from 0"))
        // Over the grid.
        rect.missing x=(px(left)) y=(px(top)) width=(px(right - left)) height=(px(height)) {}
        (cells(&grid, &plot, shades))
    };
    let count = table.labels.observed_count()?.double_value(&[]);
    Ok(Chart {
        file: FILE,
        title: "Observed labels".into(),
        height: plot.bottom() + 48.0,
        body,
        caption: caption(&grid, count),
    })
}

fn caption(grid: &Grid, count: f64) -> String {
    let entries = grid.rows * grid.labels;
    let [rows, labels, observed, all] = [grid.rows, grid.labels, count as usize, entries].map(|n| thousands(n as u64));
    let mut caption = format!(
        "{rows} rows × {labels} labels: {observed} of {all} entries are observed ({:.2}\u{a0}%), the others missing.",
        100.0 * count / entries as f64
    );
    if !grid.is_of_entries() {
        let [across, down] = [(grid.rows, ACROSS), (grid.labels, DOWN)].map(|(count, most)| count.div_ceil(most));
        caption += &match (across, down) {
            (across, 1) => format!(" Each cell covers up to {across} rows and one label."),
            (1, down) => format!(" Each cell covers one row and up to {down} labels."),
            (across, down) => format!(" Each cell covers up to {across} rows and up to {down} labels."),
        };
    }
    caption
}

/// From faint to full.
fn opacity(shade: usize, shades: &[f64]) -> f64 {
    let step = (shade + 1) as f64 / shades.len() as f64;
    ((0.12 + 0.88 * step) * 100.0).round() / 100.0
}

/// One path for each shade: a table may have thousands of cells.
fn cells(grid: &Grid, plot: &Plot, shades: &[f64]) -> Markup {
    let mut paths = vec![String::new(); shades.len()];
    let [across, down] = [groups(grid.rows, ACROSS), groups(grid.labels, DOWN)];
    for (&(upper, lower), shares) in down.iter().zip(&grid.shares) {
        let [top, bottom] = [upper, lower].map(|label| px(plot.y.at(label as f64)));
        for (&(first, end), &share) in across.iter().zip(shares).filter(|(_, share)| **share > 0.0) {
            let [left, right] = [first, end].map(|row| px(plot.x.at(row as f64)));
            let shade = shades.iter().position(|most| 100.0 * share <= most + 1e-9).unwrap_or(shades.len() - 1);
            paths[shade] += &format!("M{left} {top}H{right}V{bottom}H{left}Z");
        }
    }
    html! {
        @for (shade, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            path.a.cells fill-opacity=(opacity(shade, shades)) shape-rendering="crispEdges" d=(path) {}
        }
    }
}

/// What the shades mean, above the map.
fn legend(shades: &[f64], entries: bool) -> Markup {
    let names: Vec<String> = if entries {
        vec!["missing".into(), "observed".into()]
    } else {
        [0.0].iter().chain(shades).map(|most| format!("{most}")).collect()
    };
    let wide = if entries { 90.0 } else { 38.0 };
    let (y, start) = (TOP + 1.0, if entries { MARGIN } else { 136.0 });
    html! {
        @if !entries { text.small x=(MARGIN) y=(y + 10.0) { "observed, up to (%)" } }
        @for (number, name) in names.iter().enumerate() {
            @let x = px(start + wide * number as f64);
            rect.missing x=(x) y=(y) width="12" height="12" {}
            @if let Some(shade) = number.checked_sub(1) {
                rect.a x=(x) y=(y) width="12" height="12" fill-opacity=(opacity(shade, shades)) {}
            }
            text.small x=(px(x + 15.0)) y=(px(y + LINE - 6.5)) { (name) }
        }
    }
}
