//! How far probabilities are from the observed outcomes.

/// Brier score: the mean of `(p − y)²`, from 0 (certain and right) to 1.
///
/// `None` without entries, or with a probability or a label outside [0, 1]. Equals scikit-learn's `brier_score_loss`.
///
/// # Panics
/// If the two slices differ in length.
pub fn brier(probabilities: &[f64], labels: &[f64]) -> Option<f64> {
    average(probabilities, labels, |p, y| (p - y) * (p - y))
}

/// Log loss: the mean of `−y·ln p − (1 − y)·ln(1 − p)`, with probabilities clipped to `[ε, 1 − ε]`, where `ε` is that
/// of `f64`.
///
/// `None` without entries, or with a probability or a label outside [0, 1]. Equals scikit-learn's `log_loss` of `f64`.
/// For narrower types scikit-learn uses their own ε, so clip such probabilities first.
///
/// # Panics
/// If the two slices differ in length.
pub fn log_loss(probabilities: &[f64], labels: &[f64]) -> Option<f64> {
    average(probabilities, labels, |p, y| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -y * p.ln() - (1.0 - y) * (1.0 - p).ln()
    })
}

/// Expected calibration error: `Σ_b (n_b / n)·|mean y − mean p|`, over bins of equal width, from 0 to 1.
///
/// See [`bin`]. `None` without entries or bins, or with a probability or a label outside [0, 1].
///
/// Source: Guo et al. 2017, *On Calibration of Modern Neural Networks*, for the probability of a positive in place of the
/// confidence.
///
/// # Panics
/// If the two slices differ in length.
pub fn expected_calibration_error(probabilities: &[f64], labels: &[f64], bins: usize) -> Option<f64> {
    let mut gaps = vec![0.0; bins];
    if !valid(probabilities, labels) {
        return None;
    }
    for (&p, &y) in probabilities.iter().zip(labels) {
        gaps[bin(p, bins)?] += y - p;
    }
    Some(gaps.iter().map(|gap| gap.abs()).sum::<f64>() / probabilities.len() as f64)
}

/// The bin of a probability, among B bins of equal width: bin k has `k/B < p ≤ (k + 1)/B`, and bin 0 also has 0. `None`
/// without bins, or for a probability outside [0, 1].
pub fn bin(probability: f64, bins: usize) -> Option<usize> {
    if bins == 0 || !(0.0..=1.0).contains(&probability) {
        return None;
    }
    // Rounding of the product may be off by one bin.
    let near = ((probability * bins as f64).ceil() as usize).clamp(1, bins);
    let within = |&k: &usize| probability <= (k + 1) as f64 / bins as f64;
    Some((near.saturating_sub(2)..near).find(within).unwrap_or(near.min(bins - 1)))
}

fn average(probabilities: &[f64], labels: &[f64], of: impl Fn(f64, f64) -> f64) -> Option<f64> {
    if !valid(probabilities, labels) {
        return None;
    }
    let sum: f64 = probabilities.iter().zip(labels).map(|(&p, &y)| of(p, y)).sum();
    Some(sum / probabilities.len() as f64)
}

fn valid(probabilities: &[f64], labels: &[f64]) -> bool {
    assert_eq!(probabilities.len(), labels.len(), "one label for each probability");
    !probabilities.is_empty() && probabilities.iter().chain(labels).all(|number| (0.0..=1.0).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        let (p, y) = ([0.8, 0.4, 0.0], [1.0, 0.0, 0.0]);
        approx::assert_relative_eq!(brier(&p, &y).unwrap(), (0.04 + 0.16) / 3.0, max_relative = 1e-14);
        approx::assert_relative_eq!(
            log_loss(&p, &y).unwrap(),
            -(0.8f64.ln() + 0.6f64.ln()) / 3.0,
            max_relative = 1e-14
        );
        // Soft labels are used unchanged.
        assert_eq!(brier(&[0.5], &[0.25]), Some(0.0625));
    }

    #[test]
    fn a_certain_error_is_large_and_finite() {
        approx::assert_relative_eq!(log_loss(&[0.0], &[1.0]).unwrap(), -f64::EPSILON.ln(), max_relative = 1e-14);
    }

    #[test]
    fn calibration_compares_bin_by_bin() {
        // Two bins: {0.2, 0.4, 0.5} with one positive, {0.6, 1.0} with two. The edge is in the lower one.
        let (p, y) = ([0.2, 0.4, 0.5, 0.6, 1.0], [0.0, 1.0, 0.0, 1.0, 1.0]);
        let expected = (0.1 + 0.4) / 5.0;
        approx::assert_relative_eq!(expected_calibration_error(&p, &y, 2).unwrap(), expected, max_relative = 1e-14);
        approx::assert_relative_eq!(
            expected_calibration_error(&p, &y, 1).unwrap(),
            (3.0 - 2.7) / 5.0,
            max_relative = 1e-12
        );
        assert_eq!(expected_calibration_error(&[0.0], &[0.0], 10), Some(0.0));
    }

    #[test]
    fn an_edge_is_in_the_bin_below_it() {
        for bins in 1..200 {
            for k in 0..=bins {
                for p in [k as f64 / bins as f64, (k as f64 / bins as f64).next_up().min(1.0)] {
                    let bin = (0..bins).find(|&k| p <= (k + 1) as f64 / bins as f64).unwrap();
                    // A second entry in the middle of that bin has a gap of the other sign: the two cancel only within
                    // one bin.
                    let middle = (bin as f64 + 0.5) / bins as f64;
                    let found = expected_calibration_error(&[p, middle], &[1.0, 0.0], bins).unwrap();
                    let expected = (1.0 - p - middle).abs() / 2.0;
                    assert!((found - expected).abs() < 1e-15, "{bins} bins, {p}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_probability_is_undefined() {
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert_eq!(brier(&[wrong], &[1.0]), None);
            assert_eq!(brier(&[1.0], &[wrong]), None);
            assert_eq!(log_loss(&[wrong], &[1.0]), None);
            assert_eq!(expected_calibration_error(&[wrong], &[1.0], 5), None);
        }
        assert_eq!(expected_calibration_error(&[0.5], &[1.0], 0), None);
        assert_eq!(brier(&[], &[]), None);
    }
}
