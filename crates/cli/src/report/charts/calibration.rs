//! `calibration.svg`: the share of positives among the entries that are predicted with probability p.

use masked_loss::metrics;
use maud::html;

use super::chart::{Chart, Plot, TOP, WIDTH, px};
use super::scale::{self, Scale, Tick, thousands};
use crate::run::evaluate::Probabilistic;

pub const FILE: &str = "calibration.svg";

const BINS: usize = Probabilistic::BINS;

const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;

#[derive(Clone, Copy, Default)]
struct Bin {
    count: usize,
    /// Sums.
    probability: f64,
    label: f64,
}

/// `probabilities`: of the observed entries. `error`: the expected calibration error.
pub fn chart([probabilities, labels]: [&[f64]; 2], error: Option<f64>) -> Chart {
    let bins = bins(probabilities, labels);
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(10) as f64;
    let unit = (0.0, 1.0);
    let x = Scale::linear(unit, (LEFT, RIGHT));
    let upper = Plot { left: LEFT, x, y: Scale::linear(unit, (TOP + 270.0, TOP + 10.0)) };
    // Below 1, so that the bar of a single entry is visible.
    let counts = (0.7, most);
    let lower = Plot { left: LEFT, x, y: Scale::log(counts, (upper.bottom() + 96.0, upper.bottom() + 18.0)) };
    let filled: Vec<_> = bins.iter().enumerate().filter(|(_, bin)| bin.count > 0).collect();
    let place = |bin: &Bin| {
        let [probability, label] = [bin.probability, bin.label].map(|sum| sum / bin.count as f64);
        (probability, label, px(x.at(probability)), px(upper.y.at(label)))
    };
    let path: Vec<_> = filled.iter().map(|(_, bin)| place(bin)).map(|(.., x, y)| format!("{x} {y}")).collect();
    let tenths = scale::ticks(unit, 5);
    let body = html! {
        (upper.y_axis(&tenths, "share of positives"))
        (upper.foot())
        line.guide x1=(px(x.at(0.0))) y1=(px(upper.bottom())) x2=(px(x.at(1.0))) y2=(px(upper.top())) {}
        path.line.a d={ "M" (path.join("L")) } {}
        @for (_, bin) in &filled {
            @let (probability, label, x, y) = place(bin);
            circle.dot.a cx=(x) cy=(y) r="4" {
                title {
                    (thousands(bin.count as u64)) " entries: mean probability " (format!("{probability:.3}"))
                    ", share of positives " (format!("{label:.3}"))
                }
            }
        }
        (lower.y_axis(&sparse(scale::log_ticks(counts)), "entries (log)"))
        (lower.x_axis(&tenths, "predicted probability"))
        @for (index, bin) in &filled {
            @let [left, right] = [*index, index + 1].map(|edge| px(x.at(edge as f64 / BINS as f64)));
            @let top = px(lower.y.at(bin.count as f64));
            rect.a x=(left + 1.0) y=(top) width=(px(right - left - 2.0)) height=(px(lower.bottom() - top)) {
                title { (thousands(bin.count as u64)) " entries" }
            }
        }
    };
    let error = error.map_or_else(|| "undefined".to_owned(), |error| format!("{error:.4}"));
    Chart {
        file: FILE,
        title: "Calibration on the test rows".into(),
        height: lower.bottom() + 48.0,
        body,
        caption: format!(
            "Expected calibration error (ECE), {BINS} bins: {error}, over the {} observed test entries of all labels \
             together. Dashed: perfect calibration.",
            thousands(probabilities.len() as u64)
        ),
    }
}

/// All are probabilities: scores that are not finite were refused.
fn bins(probabilities: &[f64], labels: &[f64]) -> [Bin; BINS] {
    let mut bins = [Bin::default(); BINS];
    for (&probability, label) in probabilities.iter().zip(labels) {
        let Some(bin) = metrics::bin(probability, BINS).map(|bin| &mut bins[bin]) else { continue };
        bin.count += 1;
        bin.probability += probability;
        bin.label += label;
    }
    bins
}

/// Short enough for the margin; of many ticks, at most five powers of ten.
fn sparse(mut ticks: Vec<Tick>) -> Vec<Tick> {
    const MOST: usize = 5;
    if ticks.len() > MOST {
        ticks.retain(|tick| tick.text.starts_with('1'));
    }
    let every = ticks.len().div_ceil(MOST).max(1);
    let short = |tick: Tick| Tick { text: tick.text.replace(",000,000", "M").replace(",000", "k"), ..tick };
    ticks.into_iter().step_by(every).map(short).collect()
}
