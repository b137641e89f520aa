//! The charts of a run agree with `metrics.json`.

use std::fs;

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::trained::{CHARTS, four, many};

fn with_class<'a>(document: &'a Document, tag: &str, class: &str) -> Vec<Node<'a, 'a>> {
    let has =
        |node: &Node| node.attribute("class").is_some_and(|classes| classes.split(' ').any(|found| found == class));
    document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", tag)) && has(node)).collect()
}

fn said(node: &Node) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}

/// The lines below a chart.
fn caption(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    let lines: Vec<String> = with_class(&document, "text", "quiet").iter().map(said).collect();
    lines.join(" ")
}

/// The heights of the dots.
fn dots_of(document: &Document) -> Vec<f64> {
    with_class(document, "circle", "dot").iter().map(|dot| dot.attribute("cy").unwrap().parse().unwrap()).collect()
}

/// For each plot, the value of a height according to the axis.
fn y_axes(document: &Document) -> Vec<impl Fn(f64) -> f64 + use<>> {
    let mut plots: Vec<Vec<(f64, f64)>> = Vec::new();
    for line in with_class(document, "line", "grid") {
        let number = said(&line.next_sibling_element().unwrap());
        let tick = (line.attribute("y1").unwrap().parse().unwrap(), number.parse().unwrap());
        match plots.last_mut() {
            // Its numbers rise.
            Some(ticks) if ticks.last().unwrap().1 < tick.1 => ticks.push(tick),
            _ => plots.push(vec![tick]),
        }
    }
    let axis = |ticks: Vec<(f64, f64)>| {
        let ((bottom, low), (top, high)) = (ticks[0], ticks[ticks.len() - 1]);
        move |y: f64| low + (y - bottom) / (top - bottom) * (high - low)
    };
    plots.into_iter().map(axis).collect()
}

fn assert_close(found: impl Iterator<Item = f64>, expected: impl IntoIterator<Item = f64>) {
    let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-3), "{found:?} {expected:?}");
}

#[test]
fn curves_show_the_history() {
    let trained = four();
    let (svg, metrics) = (trained.read("curves.svg"), trained.metrics());
    let document = Document::parse(&svg).unwrap();
    let history = metrics["history"].as_array().unwrap();
    let dots: Vec<String> = with_class(&document, "circle", "dot").iter().map(said).collect();
    let curves = [
        ("training loss", "train_loss"),
        ("validation loss", "validation_loss"),
        ("validation macro AUROC", "validation_macro_auroc"),
    ];
    let expected: Vec<String> = curves
        .iter()
        .flat_map(|(name, key)| {
            let value = |(epoch, entry): (usize, &Value)| {
                format!("{name}, epoch {}: {:.4}", epoch + 1, entry[key].as_f64().unwrap())
            };
            history.iter().enumerate().map(value).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(dots, expected);
    let best = with_class(&document, "text", "best");
    assert_eq!(said(&best[0]), format!("best epoch: {}", metrics["best_epoch"]));
    let (axes, dots) = (y_axes(&document), dots_of(&document));
    let (losses, scores) = dots.split_at(2 * history.len());
    for (axis, dots, keys) in [(&axes[0], losses, &curves[..2]), (&axes[1], scores, &curves[2..])] {
        let values = keys.iter().flat_map(|(_, key)| history.iter().map(move |entry| entry[key].as_f64().unwrap()));
        assert_close(dots.iter().map(|y| axis(*y)), values);
    }
}

#[test]
fn labels_that_cannot_be_scored_are_shown_as_undefined() {
    let trained = four();
    let (svg, metrics) = (trained.read("labels.svg"), trained.metrics());
    let labels = metrics["test"]["labels"].as_array().unwrap();
    assert_eq!(labels[2]["observed"], 0);
    assert!(labels[2]["auroc"].is_null() && labels[3]["auroc"].is_null());
    assert_eq!(metrics["test"]["scored_labels"], 2);

    let document = Document::parse(&svg).unwrap();
    let dots: Vec<String> = with_class(&document, "circle", "dot").iter().map(said).collect();
    let expected: Vec<String> = [("AUROC", "auroc"), ("average precision", "average_precision")]
        .iter()
        .flat_map(|(name, key)| [(0, 40), (1, 48)].map(|(label, trained)| (name, key, &labels[label], trained)))
        .map(|(name, key, label, trained)| {
            let (score, observed) = (label[key].as_f64().unwrap(), &label["observed"]);
            let label = label["name"].as_str().unwrap();
            format!("{label}: {name} {score:.3}, observed in {trained} training rows and {observed} test rows")
        })
        .collect();
    assert_eq!(dots, expected);
    let (axes, dots) = (y_axes(&document), dots_of(&document));
    for (axis, (dots, key)) in axes.iter().zip([(&dots[..2], "auroc"), (&dots[2..], "average_precision")]) {
        assert_close(dots.iter().map(|y| axis(*y)), [0, 1].map(|label| labels[label][key].as_f64().unwrap()));
    }
    assert_eq!(with_class(&document, "line", "rug").len(), 2 * 2);
    let caption = caption(&svg);
    assert!(caption.contains("2 of 4 labels are scored"), "{caption}");
    assert!(caption.contains("Undefined for 2 without both classes in their test entries (1 have none)"), "{caption}");

    let page = trained.read("report.html");
    let row = page.split("l untested</th>").nth(1).unwrap().split("</tr>").next().unwrap();
    assert_eq!(row.matches(">undefined<").count(), 2, "{row}");
}

#[test]
fn the_bins_of_the_reliability_diagram_add_up_to_the_calibration_error() {
    for trained in [four(), many()] {
        let (svg, metrics) = (trained.read("calibration.svg"), trained.metrics());
        let document = Document::parse(&svg).unwrap();
        let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
        let bins: Vec<[f64; 3]> = with_class(&document, "circle", "dot")
            .iter()
            .map(|dot| {
                let text = said(dot);
                let (count, rest) = text.split_once(" entries: mean probability ").unwrap();
                let (probability, share) = rest.split_once(", share of positives ").unwrap();
                [count, probability, share].map(number)
            })
            .collect();
        let total: f64 = bins.iter().map(|[count, ..]| count).sum();
        let labels = metrics["test"]["labels"].as_array().unwrap();
        assert_eq!(total as u64, labels.iter().map(|label| label["observed"].as_u64().unwrap()).sum::<u64>());
        let bars = with_class(&document, "rect", "a");
        let counts: f64 = bars.iter().map(|bar| number(said(bar).split_once(" entries").unwrap().0)).sum();
        assert_eq!(counts, total);

        let error: f64 = bins.iter().map(|[count, p, y]| count / total * (p - y).abs()).sum();
        let expected = metrics["test"]["calibration_error"]["micro"].as_f64().unwrap();
        assert!((error - expected).abs() < 2e-3, "{error} {expected}");
        assert!(caption(&svg).contains(&format!("15 bins: {expected:.4}")));
        for metric in ["brier", "log_loss", "calibration_error"] {
            for mean in ["macro", "micro"] {
                assert!(metrics["test"][metric][mean].as_f64().unwrap() > 0.0);
            }
        }
        // Cross entropy is log loss.
        let [loss, log_loss] =
            [&metrics["test"]["loss"], &metrics["test"]["log_loss"]["micro"]].map(|n| n.as_f64().unwrap());
        assert!((loss - log_loss).abs() < 1e-5, "{loss} {log_loss}");
    }
}

#[test]
fn the_map_has_a_cell_for_every_observed_entry() {
    let trained = four();
    let svg = trained.read("observed.svg");
    let document = Document::parse(&svg).unwrap();
    let cells = with_class(&document, "path", "cells");
    let drawn: usize = cells.iter().map(|path| path.attribute("d").unwrap().matches('M').count()).sum();
    let table = fs::read_to_string(&trained.table).unwrap();
    let missing = table.matches("NaN").count();
    assert_eq!(drawn, 4 * 80 - missing);
    assert!(caption(&svg).contains(&format!("{drawn} of 320 entries are observed")));
}

#[test]
fn a_large_table_becomes_a_grid_of_shares() {
    let svg = many().read("observed.svg");
    let document = Document::parse(&svg).unwrap();
    let cells = with_class(&document, "path", "cells");
    let drawn: usize = cells.iter().map(|path| path.attribute("d").unwrap().matches('M').count()).sum();
    assert!(cells.len() > 1 && drawn > 1000 && drawn <= 80 * 90, "{} {drawn}", cells.len());
    assert!(caption(&svg).contains("Each cell covers up to 4 rows and up to 2 labels."), "{}", caption(&svg));
}

#[test]
fn no_text_overlaps_another_or_leaves_the_chart() {
    for trained in [four(), many()] {
        for name in CHARTS {
            let svg = trained.read(name);
            let document = Document::parse(&svg).unwrap();
            let mut blocks: Vec<([f64; 4], String)> = Vec::new();
            for node in
                document.descendants().filter(|node| node.tag_name().name() == "text" && node.has_attribute("x"))
            {
                let classes = node.attribute("class").unwrap_or_default();
                let [x, y] = ["x", "y"].map(|name| node.attribute(name).unwrap().parse::<f64>().unwrap());
                let text = node.children().find(Node::is_text).map_or("", |text| text.text().unwrap_or_default());
                let width = 0.55 * if classes.contains("small") { 12.0 } else { 13.0 } * text.chars().count() as f64;
                let left = match () {
                    () if classes.contains("middle") => x - width / 2.0,
                    () if classes.contains("end") => x - width,
                    () => x,
                };
                let block = [left, y - 9.0, left + width, y + 2.0];
                assert!(block[0] >= 0.0 && block[2] <= 480.0, "{name}: {text} {block:?}");
                for (other, beside) in &blocks {
                    let apart =
                        block[0] >= other[2] || other[0] >= block[2] || block[1] >= other[3] || other[1] >= block[3];
                    assert!(apart, "{name}: {text:?} is over {beside:?}");
                }
                blocks.push((block, text.to_owned()));
            }
            assert!(blocks.len() > 5, "{name}");
        }
    }
}
