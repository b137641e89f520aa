//! `report.html`: a run on one self-contained page.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::charts::chart::{Chart, STYLE};
use super::charts::scale::thousands;
use super::results::Results;
use crate::run::evaluate::{Evaluation, Probabilistic};

/// Most labels on the page: a browser would take minutes to lay out more.
const LISTED: usize = 2000;
/// Most values of an option on the page.
const VALUES: usize = 100;

pub fn page(results: &Results, trained: &[usize], charts: &[Chart]) -> String {
    let data = results.description["source"]["data"].as_str().unwrap_or_default();
    let version = results.description["version"].as_str().unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Training report: " (data) }
                style { (PreEscaped(include_str!("page.css"))) (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Training report" }
                p.quiet { (data) }
                (summary(results))
                div.charts { @for chart in charts { figure { (chart.part()) } } }
                h2 { "Test scores of the labels" }
                (label_scores(&results.test.evaluation, trained))
                h2 { "Configuration" }
                (configuration(results.description))
                p.quiet { "masked-loss " (version) }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    page.into_string() + "\n"
}

fn summary(Results { test, table, split, best_epoch, history, .. }: &Results) -> Markup {
    let Evaluation { macro_auroc, macro_average_precision, scored_labels, labels, .. } = &test.evaluation;
    let Probabilistic { brier, log_loss, calibration_error } = &test.probabilistic;
    let [train, validation, held_out] =
        [&split.train, &split.validation, &split.test].map(|rows| thousands(rows.len() as u64));
    let parts = format!("{train} training, {validation} validation, {held_out} test");
    let epochs = format!("of {}, chosen on the validation rows", thousands(history.len() as u64));
    let scored = match scored_labels {
        0 => "no label has both classes in the test rows".to_owned(),
        _ => {
            let [scored, all] = [*scored_labels, labels.len()].map(|count| thousands(count as u64));
            format!("test rows, mean over {scored} of {all} labels")
        }
    };
    let together = "test rows, all labels together";
    let tiles = [
        ("rows", thousands(table.rows() as u64), parts.as_str()),
        ("labels", thousands(labels.len() as u64), "outputs of the network"),
        ("best epoch", thousands(*best_epoch), &epochs),
        ("AUROC, macro", number(*macro_auroc), &scored),
        ("average precision, macro", number(*macro_average_precision), &scored),
        ("log loss, micro", number(log_loss.micro), together),
        ("Brier score, micro", number(brier.micro), together),
        ("calibration error, micro", number(calibration_error.micro), together),
    ];
    html! {
        dl { @for (name, value, note) in tiles { div { dt { (name) } dd { (value) } dd.note { (note) } } } }
    }
}

fn label_scores(test: &Evaluation, trained: &[usize]) -> Markup {
    let header =
        ["label", "AUROC", "average precision", "observed test rows", "positive test rows", "observed training rows"];
    html! {
        p.quiet { "Over observed entries only. Undefined: the observed test entries do not have both classes." }
        @if test.labels.len() > LISTED {
            p.quiet {
                "The first " (thousands(LISTED as u64)) " of " (thousands(test.labels.len() as u64))
                " labels; metrics.json has the scores of all."
            }
        }
        div.scroll {
            table {
                thead { tr { @for name in header { th scope="col" { button type="button" { (name) } } } } }
                tbody {
                    @for (label, trained) in test.labels.iter().zip(trained).take(LISTED) {
                        tr {
                            th scope="row" { (label.name) }
                            @for score in [label.auroc, label.average_precision] {
                                td.quiet[score.is_none()] data-value=(score.map_or_else(String::new, |score| score.to_string())) {
                                    (number(score))
                                }
                            }
                            @for count in [label.observed, label.positive, *trained] {
                                td data-value=(count) { (thousands(count as u64)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Without the names of the labels, which are in the table of scores.
fn configuration(config: &Value) -> Markup {
    let mut rows = Vec::new();
    flatten("", config, &mut rows);
    html! {
        div.scroll { table.options { tbody {
            @for (name, value) in rows.iter().filter(|(name, _)| name != "outputs") {
                tr { td { (name) } td { (value) } }
            }
        } } }
    }
}

/// `training.lr` for `lr` in the object `training`.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                flatten(&name, value, rows);
            }
        }
        Value::Array(values) => {
            let mut texts: Vec<_> = values.iter().take(VALUES).map(plain).collect();
            if values.len() > VALUES {
                texts.push(format!("and {} more in config.json", thousands((values.len() - VALUES) as u64)));
            }
            rows.push((name.to_owned(), texts.join(", ")));
        }
        value => rows.push((name.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.3}"))
}
