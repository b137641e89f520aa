//! Metrics of predictions: a score from a threshold on predicts a positive.

/// Counts of predictions by label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Positives that are predicted positive.
    pub true_positives: usize,
    /// Negatives that are predicted positive.
    pub false_positives: usize,
    /// Positives that are predicted negative.
    pub false_negatives: usize,
    /// Negatives that are predicted negative.
    pub true_negatives: usize,
}

/// Counts one label's observed entries; a score from `threshold` on predicts a positive. `None` if a score is NaN.
///
/// # Panics
/// If the two slices differ in length.
pub fn confusion(scores: &[f64], positive: &[bool], threshold: f64) -> Option<Confusion> {
    assert_eq!(scores.len(), positive.len(), "one label for each score");
    if threshold.is_nan() || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut counts = Confusion::default();
    for (&score, &positive) in scores.iter().zip(positive) {
        *match (score >= threshold, positive) {
            (true, true) => &mut counts.true_positives,
            (true, false) => &mut counts.false_positives,
            (false, true) => &mut counts.false_negatives,
            (false, false) => &mut counts.true_negatives,
        } += 1;
    }
    Some(counts)
}

impl Confusion {
    /// `TP / (TP + FP)`; `None` where nothing is predicted positive.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// `TP / (TP + FN)`; `None` where nothing is positive.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// `2·TP / (2·TP + FP + FN)`, the harmonic mean of both; `None` where nothing is positive or predicted positive.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// `(TP + TN) / n`; `None` without entries.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_positives + self.true_negatives;
        share(right, right + self.false_positives + self.false_negatives)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_a_predicted_positive() {
        let counts = confusion(&[0.5, 0.4, 0.6, 0.5], &[true, true, false, false], 0.5).unwrap();
        assert_eq!(counts, Confusion { true_positives: 1, false_positives: 2, false_negatives: 1, true_negatives: 0 });
        assert_eq!(
            [counts.precision(), counts.recall(), counts.f1(), counts.accuracy()],
            [Some(1.0 / 3.0), Some(0.5), Some(0.4), Some(0.25)]
        );
    }

    #[test]
    fn what_divides_by_nothing_is_none() {
        let nothing = confusion(&[], &[], 0.5).unwrap();
        assert_eq!([nothing.precision(), nothing.recall(), nothing.f1(), nothing.accuracy()], [None; 4]);
        let negatives = confusion(&[0.1], &[false], 0.5).unwrap();
        assert_eq!([negatives.precision(), negatives.recall(), negatives.f1()], [None; 3]);
        assert_eq!(negatives.accuracy(), Some(1.0));
        assert_eq!(confusion(&[f64::NAN], &[true], 0.5), None);
        assert_eq!(confusion(&[0.5], &[true], f64::NAN), None);
    }
}
