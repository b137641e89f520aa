//! `curves.svg`: loss and AUROC after each epoch.

use maud::{Markup, html};

use super::chart::{Chart, MARGIN, Plot, TOP, WIDTH, nothing, px};
use super::scale::{self, Scale, thousands};
use super::text;
use crate::cli::training::Training;
use crate::run::progress::Epoch;

pub const FILE: &str = "curves.svg";

const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 20.0;
/// Most epochs that have a dot each.
const DOTS: usize = 40;

pub fn chart(history: &[Epoch], best_epoch: u64, training: &Training) -> Chart {
    let epochs = scale::interval((1..=history.len()).map(|epoch| epoch as f64));
    // A single epoch is in the middle.
    let epochs = if history.len() == 1 { (0.5, 1.5) } else { epochs };
    let x = Scale::linear(epochs, (LEFT + 8.0, RIGHT));
    let ticks = scale::whole_ticks(epochs, 10);

    let (train, validation): (Vec<_>, Vec<_>) =
        history.iter().map(|epoch| (Some(epoch.train_loss), Some(epoch.validation_loss))).unzip();
    let auroc: Vec<_> = history.iter().map(|epoch| epoch.validation_macro_auroc).collect();
    let losses = scale::whole(scale::interval(train.iter().chain(&validation).copied().flatten()), 5);
    let scores = scale::whole(scale::interval(auroc.iter().copied().flatten()), 4);

    let plot = |top: f64, height: f64, from| Plot { left: LEFT, x, y: Scale::linear(from, (top + height, top)) };
    let loss = plot(TOP + 44.0, 150.0, losses);
    let score = plot(loss.bottom() + 24.0, 120.0, scores);
    let best = px(x.at(best_epoch as f64));
    let body = html! {
        (legend(TOP + 8.0))
        (mark(best, best_epoch, loss.top()))
        line.guide x1=(best) x2=(best) y1=(px(loss.top())) y2=(px(score.bottom())) {}
        (loss.y_axis(&scale::ticks(losses, 5), "loss"))
        (loss.foot())
        (series(&loss, &train, "a", "training loss"))
        (series(&loss, &validation, "b", "validation loss"))
        (score.y_axis(&scale::ticks(scores, 4), "macro AUROC"))
        (score.x_axis(&ticks, "epoch"))
        @if auroc.iter().flatten().next().is_some() {
            (series(&score, &auroc, "b", "validation macro AUROC"))
        } @else {
            (nothing(&score, "undefined: no label has both classes"))
        }
    };
    Chart {
        file: FILE,
        title: "Learning curves".into(),
        height: score.bottom() + 48.0,
        body,
        caption: caption(training, history.last().map_or(0, |epoch| epoch.validation_scored_labels)),
    }
}

/// `scored`: the number of labels with both classes in the validation rows, the same in every epoch.
fn caption(Training { loss, missing, dropout, .. }: &Training, scored: usize) -> String {
    let dropout = if *dropout > 0.0 { ", with dropout" } else { "" };
    format!(
        "Training loss: the minimized loss ({loss}, missing labels: {missing}), averaged over the steps of the \
         epoch{dropout}. Validation, after the epoch: cross entropy over the observed labels of the validation rows, and \
         mean AUROC over the labels with both classes there ({}).",
        thousands(scored as u64)
    )
}

fn legend(y: f64) -> Markup {
    html! {
        @for (x, class, name) in [(LEFT, "line a", "training"), (LEFT + 150.0, "line b", "validation")] {
            line class=(class) x1=(x) x2=(x + 28.0) y1=(y) y2=(y) {}
            text x=(x + 35.0) y=(y + 4.5) { (name) }
        }
    }
}

/// Above the line through both plots.
fn mark(x: f64, best_epoch: u64, bottom: f64) -> Markup {
    let name = format!("best epoch: {best_epoch}");
    let half = text::width(&name, 12.0) / 2.0;
    let middle = x.clamp(MARGIN + half, WIDTH - MARGIN - half);
    html! { text.small.middle.best x=(px(middle)) y=(px(bottom - 7.0)) { (name) } }
}

/// A line with gaps where a value is undefined.
fn series(plot: &Plot, values: &[Option<f64>], class: &str, name: &str) -> Markup {
    let point = |(index, value): (usize, &Option<f64>)| {
        let (epoch, value) = (index + 1, (*value)?);
        Some((epoch, value, px(plot.x.at(epoch as f64)), px(plot.y.at(value))))
    };
    let points: Vec<_> = values.iter().enumerate().map(point).collect();
    let mut path = String::new();
    for (before, after) in [None].iter().chain(&points).zip(&points) {
        if let Some((.., x, y)) = after {
            path += &format!("{}{x} {y}", if before.is_some() { "L" } else { "M" });
        }
    }
    html! {
        path class={ "line " (class) } d=(path) {}
        @if values.len() <= DOTS {
            @for (epoch, value, x, y) in points.iter().flatten() {
                circle class={ "dot " (class) } cx=(x) cy=(y) r="3.5" {
                    title { (name) ", epoch " (epoch) ": " (format!("{value:.4}")) }
                }
            }
        }
    }
}
