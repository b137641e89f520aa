//! `demo`: a synthetic problem with known labels.

use crate::program::{printed, program};

#[test]
fn the_demonstration_shows_what_the_mask_is_for() {
    let printed = printed(program().args(["demo", "--hidden", "100", "--epochs", "8", "--device", "cpu"]));
    let auroc = |name: &str| -> f64 {
        let line = printed.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{printed}"));
        line.split('┆').nth(1).unwrap().trim().parse().unwrap()
    };
    assert!(auroc("left out of the loss") > auroc("taken as negative") + 0.05, "{printed}");
    assert!(auroc("none, all are known") >= auroc("left out of the loss") - 0.02, "{printed}");
}

#[test]
fn the_policies_for_missing_labels_come_out_as_published() {
    // Cole et al. 2021: labels missing at random are best ignored; with positives only, that teaches nothing.
    let options = ["--policies", "--hidden", "100", "--epochs", "6", "--device", "cpu"];
    let printed = printed(program().arg("demo").args(options));
    let settings: Vec<&str> = printed.split("% of the training labels are observed").skip(1).collect();
    assert_eq!(settings.len(), 3, "{printed}");
    let auroc = |setting: &str, policy: &str| -> f64 {
        let line = setting.lines().find(|line| line.contains(&format!("│ {policy} "))).unwrap();
        line.split('┆').nth(1).unwrap().trim().parse().unwrap()
    };
    assert!(auroc(settings[0], "ignore") > auroc(settings[0], "negative"), "{printed}");
    assert!(auroc(settings[1], "ignore") > auroc(settings[1], "negative") + 0.02, "{printed}");
    assert!(auroc(settings[2], "ignore") < auroc(settings[2], "negative") - 0.1, "{printed}");
}
