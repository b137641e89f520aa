//! `labels.svg`: each label's score against how often it was observed.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::{Chart, Plot, TOP, WIDTH, nothing, px};
use super::scale::{self, Scale, Tick};
use super::text::{self, Bounds};
use crate::run::evaluate::{Evaluation, LabelScore};

pub const FILE: &str = "labels.svg";

const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;
/// With more labels than this, none is named.
const NAMED: usize = 60;
/// With more labels than this, one path draws all marks, without their numbers.
const MARKED: usize = 2000;
/// Font size of the names.
const SIZE: f64 = 12.0;

/// A label's place on the axis of counts.
struct Axis {
    scale: Scale,
    /// The place of labels that were never observed: 0 has no logarithm.
    zero: Option<f64>,
}

impl Axis {
    fn of(counts: &[usize]) -> Self {
        let some = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64);
        let (low, high) = if some.clone().next().is_none() { (1.0, 10.0) } else { scale::interval(some) };
        // No dot touches the frame.
        let beside = (high / low.max(1.0)).powf(0.06);
        let (low, high) = (low.max(1.0) / beside, high * beside);
        let zero = counts.contains(&0).then_some(LEFT + 10.0);
        let left = if zero.is_some() { LEFT + 44.0 } else { LEFT };
        Self { scale: Scale::log((low, high), (left, RIGHT)), zero }
    }

    fn at(&self, count: usize) -> f64 {
        let zero = self.zero.filter(|_| count == 0);
        zero.unwrap_or_else(|| self.scale.at(count.max(1) as f64))
    }

    fn ticks(&self) -> Vec<Tick> {
        scale::log_ticks(self.scale.from)
    }
}

/// `trained`: how often each label is observed in the training rows.
pub fn chart(test: &Evaluation, trained: &[usize]) -> Chart {
    let axis = Axis::of(trained);
    let auroc: Vec<_> = test.labels.iter().map(|label| label.auroc).collect();
    let precision: Vec<_> = test.labels.iter().map(|label| label.average_precision).collect();
    let upper = plot(&axis, TOP + 26.0, 190.0, &auroc);
    let lower = plot(&axis, upper.bottom() + 36.0, 190.0, &precision);
    let body = html! {
        (panel(&upper, &axis, test, trained, ("AUROC", &auroc, test.macro_auroc)))
        (panel(&lower, &axis, test, trained, ("average precision", &precision, test.macro_average_precision)))
        (lower.x_axis(&axis.ticks(), "observed training rows of the label (log scale)"))
        @if let Some(x) = axis.zero { text.quiet.small.middle x=(x) y=(px(lower.bottom() + 18.0)) { "0" } }
    };
    Chart {
        file: FILE,
        title: "Test scores of the labels".into(),
        height: lower.bottom() + 48.0,
        body,
        caption: caption(test),
    }
}

fn caption(test: &Evaluation) -> String {
    let labels = test.labels.len();
    let undefined = labels - test.scored_labels;
    let unobserved = test.labels.iter().filter(|label| label.observed == 0).count();
    let mut caption =
        format!("{} of {labels} labels are scored, over their observed test entries.", test.scored_labels);
    if undefined > 0 {
        caption += &format!(
            " Undefined for {undefined} without both classes in their test entries ({unobserved} have none): \
             short lines at the foot."
        );
    }
    caption
}

fn plot(axis: &Axis, top: f64, height: f64, values: &[Option<f64>]) -> Plot {
    let (low, _) = scale::whole(scale::interval(values.iter().copied().flatten().chain([0.5, 1.0])), 5);
    Plot { left: LEFT, x: axis.scale, y: Scale::linear((low, 1.0), (top + height, top)) }
}

type Measure<'a> = (&'a str, &'a [Option<f64>], Option<f64>);

struct Dot<'a> {
    label: &'a LabelScore,
    trained: usize,
    value: f64,
    x: f64,
    y: f64,
}

fn panel(plot: &Plot, axis: &Axis, test: &Evaluation, trained: &[usize], (name, values, mean): Measure) -> Markup {
    let labels = test.labels.iter().zip(trained);
    let dot = |((label, &trained), value): ((_, &usize), &Option<f64>)| {
        value.map(|value| Dot { label, trained, value, x: px(axis.at(trained)), y: px(plot.y.at(value)) })
    };
    let dots: Vec<_> = labels.clone().zip(values).filter_map(dot).collect();
    let undefined = labels.zip(values).filter(|(_, value)| value.is_none());
    let radius = if dots.len() > 200 { 2.6 } else { 4.0 };
    let foot = px(plot.bottom());
    let single = test.labels.len() <= MARKED;
    let rug = |count: usize| format!("M{} {foot}v-7", px(axis.at(count)));
    html! {
        (plot.y_axis(&scale::ticks(plot.y.from, 5), name))
        (plot.foot())
        @if let Some(mean) = mean {
            @let y = px(plot.y.at(mean));
            line.guide x1=(px(plot.left)) x2=(px(plot.right())) y1=(y) y2=(y) {}
            text.quiet.small.end x=(RIGHT) y=(px(plot.top() - 8.0)) { "dashed: macro average, " (format!("{mean:.3}")) }
        }
        @if !single {
            path.rug d=(distinct(undefined.clone().map(|((_, &count), _)| rug(count)))) {}
            path.dots stroke-width=(2.0 * radius) d=(distinct(dots.iter().map(|dot| format!("M{} {}h0", dot.x, dot.y)))) {}
        }
        @for ((label, &count), _) in undefined.filter(|_| single) {
            @let x = px(axis.at(count));
            line.rug x1=(x) x2=(x) y1=(foot) y2=(px(foot - 7.0)) {
                title { (label.name) ": undefined; observed in " (count) " training rows and " (label.observed) " test rows" }
            }
        }
        @for Dot { label, trained, value, x, y } in dots.iter().filter(|_| single) {
            circle.dot.a cx=(x) cy=(y) r=(radius) {
                title {
                    (label.name) ": " (name) " " (format!("{value:.3}")) ", observed in " (trained) " training rows and "
                    (label.observed) " test rows"
                }
            }
        }
        @if dots.is_empty() { (nothing(plot, "undefined for every label")) }
        @for (name, x, y) in names(plot, &dots, radius, mean) { text.small.name x=(x) y=(y) { (name) } }
    }
}

/// A path of marks, many of which may coincide.
fn distinct(marks: impl Iterator<Item = String>) -> String {
    marks.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Names of the dots that have space beside them, the lowest scores first.
fn names(plot: &Plot, dots: &[Dot], radius: f64, mean: Option<f64>) -> Vec<(String, f64, f64)> {
    if dots.len() > NAMED {
        return Vec::new();
    }
    let area = Bounds { left: LEFT + 2.0, top: plot.top() - 4.0, right: WIDTH - 4.0, bottom: plot.bottom() - 9.0 };
    let around = |x: f64, y: f64, wide: f64, high: f64| Bounds {
        left: x - wide,
        top: y - high,
        right: x + wide,
        bottom: y + high,
    };
    // Also away from other dots, so that a name is next to its own.
    let gap = radius + 3.0;
    let mut taken: Vec<Bounds> = dots.iter().map(|dot| around(dot.x, dot.y, gap, gap)).collect();
    taken.extend(mean.map(|mean| around(LEFT, plot.y.at(mean), WIDTH, 1.0)));
    let mut order: Vec<_> = dots.iter().collect();
    order.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut names = Vec::new();
    for &Dot { label, x, y, .. } in order {
        let name = text::cut(&label.name, 130.0, SIZE);
        let wide = text::width(&name, SIZE);
        let at = |left: f64, middle: f64| Bounds { left, top: middle - 8.0, right: left + wide, bottom: middle + 7.0 };
        let (centre, end, above, below) = (x - wide / 2.0, x - wide, y - gap - 8.0, y + gap + 8.0);
        let places = [
            at(x + gap, y),
            at(x - gap - wide, y),
            at(centre, above),
            at(centre, below),
            at(x, above),
            at(x, below),
            at(end, above),
            at(end, below),
        ];
        let free =
            places.into_iter().find(|place| place.is_within(&area) && !taken.iter().any(|other| other.meets(place)));
        if let Some(place) = free {
            taken.push(place);
            names.push((name, px(place.left), px(place.bottom - 3.0)));
        }
    }
    names
}
