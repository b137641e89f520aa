//! How many epochs a run takes, which of them it keeps, and the batches within one.

use serde_json::Value;

use crate::program::metrics;
use crate::tables::Example;

/// The epoch with the highest macro AUROC on the validation rows, the first of several, from 1.
fn best(run: &Value) -> usize {
    let scores: Vec<f64> = history(run).iter().map(|epoch| epoch["validation_macro_auroc"].as_f64().unwrap()).collect();
    let highest = scores.iter().copied().fold(0.0, f64::max);
    1 + scores.iter().position(|&score| score == highest).unwrap()
}

fn history(run: &Value) -> &[Value] {
    run["history"].as_array().unwrap()
}

#[test]
fn the_best_epoch_is_kept_and_patience_ends_the_run_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).csv(folder.path());
    let run = |options: &[&str]| metrics(&data, &[&["--labels", "y*", "--lr", "0.05"], options].concat());
    let long = run(&["--epochs", "40"]);
    let epoch = best(&long);
    assert_eq!((history(&long).len(), long["best_epoch"].as_u64()), (40, Some(epoch as u64)));
    assert!((2..35).contains(&epoch), "another best epoch: {epoch}");

    // A run that ends with that epoch has the same scores.
    let short = run(&["--epochs", &epoch.to_string()]);
    assert_eq!(history(&short)[epoch - 1]["train_loss"], history(&long)[epoch - 1]["train_loss"]);
    assert_eq!(short["test"], long["test"]);
    assert_ne!(run(&["--epochs", &(epoch - 1).to_string()])["test"], long["test"]);

    // Patience counts from the latest epoch that was the best so far.
    for patience in [1, 3] {
        let stopped = run(&["--epochs", "40", "--patience", &patience.to_string()]);
        let count = history(&stopped).len();
        assert!(count < 40);
        assert_eq!(count, best(&stopped) + patience);
        assert_eq!(history(&stopped), &history(&long)[..count]);
    }
}

#[test]
fn micro_batches_take_the_steps_of_their_batches() {
    let folder = tempfile::tempdir().unwrap();
    let data = Example::new(200).csv(folder.path());
    let run = |options: &[&str]| metrics(&data, &[&["--labels", "y*", "--dropout", "0"], options].concat());
    let (whole, smaller) = (run(&[]), run(&["--batch-size", "16"]));
    for rows in ["1", "7", "32"] {
        let parts = run(&["--micro-batch", rows]);
        assert_eq!((history(&parts).len(), history(&whole).len()), (3, 3));
        for (epoch, (found, expected)) in history(&parts).iter().zip(history(&whole)).enumerate() {
            for loss in ["train_loss", "validation_loss"] {
                let [found, expected] = [found, expected].map(|epoch| epoch[loss].as_f64().unwrap());
                assert!((found - expected).abs() <= 1e-5 * expected, "{rows} rows, epoch {epoch}: {found}");
            }
        }
    }
    let [found, expected] = [&smaller, &whole].map(|run| history(run)[2]["train_loss"].as_f64().unwrap());
    assert!((found - expected).abs() > 1e-3 * expected, "smaller batches take other steps");
}
