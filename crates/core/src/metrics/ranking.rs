//! How well scores rank positives above negatives.

/// The scores of one label, sorted from high to low and grouped by equal score: `(positives, entries)` of each group.
fn groups(scores: &[f64], positive: &[bool]) -> Vec<(f64, f64)> {
    assert_eq!(scores.len(), positive.len(), "one label for each score");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
        .chunk_by(|&a, &b| scores[a] == scores[b])
        .map(|group| (group.iter().filter(|&&i| positive[i]).count() as f64, group.len() as f64))
        .collect()
}

/// Area under the ROC curve: the chance that a random positive scores above a random negative, ties counting one half.
///
/// `None` unless both classes occur and every score is a number. Exact, `O(n log n)`; equals scikit-learn's
/// `roc_auc_score`.
///
/// # Panics
/// If the two slices differ in length.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let groups = groups(scores, positive);
    let positives: f64 = groups.iter().map(|group| group.0).sum();
    let negatives = scores.len() as f64 - positives;
    let mut above = 0.0;
    let mut wins = 0.0;
    for (hits, entries) in groups {
        let misses = entries - hits;
        wins += misses * (above + hits / 2.0);
        above += hits;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

/// Average precision: `Σ (Rₖ − Rₖ₋₁) Pₖ` over the distinct scores from high to low, without interpolation.
///
/// `None` without a positive, or if a score is NaN. Exact, `O(n log n)`; equals scikit-learn's
/// `average_precision_score`.
///
/// # Panics
/// If the two slices differ in length.
pub fn average_precision(scores: &[f64], positive: &[bool]) -> Option<f64> {
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let (mut found, mut seen, mut sum) = (0.0, 0.0, 0.0);
    for (hits, entries) in groups(scores, positive) {
        found += hits;
        seen += entries;
        sum += hits * found / seen;
    }
    (found > 0.0).then(|| sum / found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs() {
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4];
        let positive = [false, false, true, true, true];
        // Pairs (positive, negative) in the right order: 0.35 > 0.1; 0.8 over both; 0.4 > 0.1 and a tie.
        assert_eq!(auroc(&scores, &positive), Some((1.0 + 2.0 + 1.5) / 6.0));
    }

    #[test]
    fn average_precision_of_scikit_learns_example() {
        // scikit-learn's documentation of average_precision_score gives 0.83 for this.
        let ap = average_precision(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]).unwrap();
        assert!((ap - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn what_is_undefined_is_none() {
        assert_eq!(auroc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(auroc(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(auroc(&[], &[]), None);
        assert_eq!(auroc(&[f64::NAN, 0.2], &[true, false]), None);
        assert_eq!(average_precision(&[0.1], &[false]), None);
        assert_eq!(average_precision(&[0.1], &[true]), Some(1.0));
    }
}
