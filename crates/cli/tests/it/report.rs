//! The page, the predictions and the events of a run.

use std::fs;
use std::path::Path;

use roxmltree::{Document, Node};

use crate::events;
use crate::program::{finish, program, text, train};
use crate::tables::write_csr;
use crate::trained::{CHARTS, ODD, Trained, four, many};

#[test]
fn the_charts_are_xml_and_the_page_holds_them_and_asks_for_nothing() {
    for trained in [four(), many()] {
        let page = trained.read("report.html");
        let parts: Vec<&str> = page.split("<svg").skip(1).map(|rest| rest.split_once("</svg>").unwrap().0).collect();
        assert_eq!(parts.len(), CHARTS.len());
        for (part, name) in parts.iter().zip(CHARTS) {
            let svg = trained.read(name);
            assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{name}");
            let count = |document: &Document| document.descendants().filter(Node::is_element).count();
            let part = format!("<svg{part}</svg>");
            let (alone, part) = (Document::parse(&svg).unwrap(), Document::parse(&part).unwrap());
            // The separate file has its own style.
            assert_eq!(count(&alone), count(&part) + 1, "{name}");
            assert!(svg.contains("prefers-color-scheme: dark"));
        }
        for outside in ["http", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

/// A browser has to draw everything on the page.
#[test]
fn the_page_of_very_many_labels_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let features: Vec<_> = (0..40).map(|row| vec![(row % 8, 1.0)]).collect();
    let features = write_csr(&path("x.npz"), 8, &features);
    // Half of the labels have both classes in every part.
    let labels: Vec<Vec<_>> =
        (0..40).map(|row| (0..1100).map(|label| (2 * label, (row % 2) as f32)).collect()).collect();
    let [marked, merged] = [2000, 2200].map(|count| {
        let kept = |row: &Vec<(u64, f32)>| row.iter().copied().filter(|(label, _)| *label < count).collect::<Vec<_>>();
        let table = write_csr(&path("y.npz"), count, &labels.iter().map(kept).collect::<Vec<_>>());
        let (features, out) = (text(&features).to_owned(), path("run"));
        finish(train(&table, &["--features", &features, "--split-by", "index", "--out"]).arg(&out));
        ["report.html", "labels.svg"].map(|name| fs::read_to_string(out.join(name)).unwrap())
    });
    let count = |file: &str, mark: &str| file.matches(mark).count();
    let marks =
        [r#"<tr><th scope="row">"#, "<circle class=\"dot", "<line class=\"rug", "class=\"dots", "<path class=\"rug"];
    // Two panels: AUROC and average precision.
    assert_eq!(marks[1..].iter().map(|mark| count(&marked[1], mark)).collect::<Vec<_>>(), [2000, 2000, 0, 0]);
    assert_eq!(marks[1..].iter().map(|mark| count(&merged[1], mark)).collect::<Vec<_>>(), [0, 0, 2, 2]);
    assert_eq!([&marked, &merged].map(|files| count(&files[0], marks[0])), [2000, 2000]);
    assert!(merged[0].contains("The first 2,000 of 2,200 labels; metrics.json has the scores of all."));
    assert!(!marked[0].contains("metrics.json has the scores of all"));
    assert!(merged[1].len() < 50_000, "{}", merged[1].len());
}

#[test]
fn names_are_shown_as_they_are() {
    let trained = four();
    let page = trained.read("report.html");
    assert!(!page.contains("<b>"));
    assert!(page.contains("l &lt;b&gt;&amp;&quot;'</th>"));
    for name in ["labels.svg", "observed.svg"] {
        let svg = trained.read(name);
        let document = Document::parse(&svg).unwrap();
        assert!(document.descendants().any(|node| node.text() == Some(ODD)), "{name}");
    }
}

#[test]
fn the_predictions_are_those_of_predict() {
    let trained = four();
    let all = trained.path("all.csv");
    let mut command = program();
    command.arg("predict").arg(trained.path("run")).arg("--data").arg(&trained.table);
    command.args(["--labels", "l*", "--split", "part", "--device", "cpu", "--to"]).arg(&all);
    finish(&mut command);
    let read = |path: &Path| -> (Vec<String>, Vec<Vec<f64>>) {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let header = reader.headers().unwrap().iter().map(String::from).collect();
        (header, reader.deserialize().map(Result::unwrap).collect())
    };
    let (names, all) = read(&all);
    let (header, test) = read(&trained.path("run/predictions.csv"));
    assert_eq!((header[0].as_str(), &header[1..]), ("row", &names[..]));
    let rows: Vec<f64> = test.iter().map(|row| row[0]).collect();
    assert_eq!(rows, (0..80).filter(|row| row % 10 == 9).map(f64::from).collect::<Vec<_>>());
    for row in test {
        for (found, expected) in row[1..].iter().zip(&all[row[0] as usize]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}

#[test]
fn the_events_are_the_history_each_epoch_once() {
    let trained = four();
    let check = |epochs: usize| {
        let (metrics, run) = (trained.metrics(), trained.path("run"));
        let scalars = events::read(&run.join("events.out.tfevents.masked-loss"));
        let history = metrics["history"].as_array().unwrap();
        assert_eq!(history.len(), epochs);
        let expected: Vec<(u64, String, f32)> = (1..)
            .zip(history)
            .flat_map(|(step, epoch)| {
                [
                    ("loss/train", "train_loss"),
                    ("loss/validation", "validation_loss"),
                    ("auroc/validation", "validation_macro_auroc"),
                ]
                .map(|(tag, key)| (step, tag.to_owned(), epoch[key].as_f64().unwrap() as f32))
            })
            .collect();
        assert_eq!(scalars, expected);
        let files = fs::read_dir(run)
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("tfevents"));
        assert_eq!(files.count(), 1);
    };
    check(3);
    trained.train(&["--epochs", "5", "--resume"]);
    check(5);
}

#[test]
fn a_run_without_a_score_has_a_report() {
    // One label, with one class only in the validation and test rows: no label has both classes there.
    let label = |row: usize, _: usize| f64::from(row.is_multiple_of(2) || row % 10 > 7);
    let trained = Trained::on(&["l"], 40, label, &["--epochs", "1"]);
    assert!(trained.metrics()["history"][0]["validation_macro_auroc"].is_null());
    assert!(trained.metrics()["test"]["macro_auroc"].is_null());
    for name in CHARTS {
        assert!(!trained.read(name).contains("NaN"), "{name}");
        Document::parse(&trained.read(name)).unwrap();
    }
    assert!(trained.read("curves.svg").contains("undefined: no label has both classes"));
    assert!(trained.read("labels.svg").contains("undefined for every label"));
    let tags: Vec<_> =
        events::read(&trained.path("run/events.out.tfevents.masked-loss")).into_iter().map(|e| e.1).collect();
    assert_eq!(tags, ["loss/train", "loss/validation"]);
}
