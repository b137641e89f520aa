use super::calibration::{brier, expected_calibration_error, log_loss};
use super::classification::confusion;
use super::ranking::{auroc, average_precision};

/// Which metric to compute.
///
/// A label counts as positive from ½ on; [`Brier`](Self::Brier), [`LogLoss`](Self::LogLoss) and
/// [`CalibrationError`](Self::CalibrationError) take soft labels as they are, and scores within [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// See [`auroc`].
    Auroc,
    /// See [`average_precision`].
    AveragePrecision,
    /// See [`Confusion::precision`](super::Confusion::precision).
    Precision {
        /// The lowest score that predicts a positive.
        threshold: f64,
    },
    /// See [`Confusion::recall`](super::Confusion::recall).
    Recall {
        /// Same as for the precision.
        threshold: f64,
    },
    /// See [`Confusion::f1`](super::Confusion::f1).
    F1 {
        /// Same as for the precision.
        threshold: f64,
    },
    /// See [`Confusion::accuracy`](super::Confusion::accuracy).
    Accuracy {
        /// Same as for the precision.
        threshold: f64,
    },
    /// See [`brier`].
    Brier,
    /// See [`log_loss`].
    LogLoss,
    /// See [`expected_calibration_error`].
    CalibrationError {
        /// The number of bins.
        bins: usize,
    },
}

impl Metric {
    /// Every metric: thresholds ½, 15 bins.
    pub fn all() -> [Self; 9] {
        let threshold = 0.5;
        [
            Self::Auroc,
            Self::AveragePrecision,
            Self::Precision { threshold },
            Self::Recall { threshold },
            Self::F1 { threshold },
            Self::Accuracy { threshold },
            Self::Brier,
            Self::LogLoss,
            Self::CalibrationError { bins: 15 },
        ]
    }

    /// The name of the metric in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auroc => "AUROC",
            Self::AveragePrecision => "average precision",
            Self::Precision { .. } => "precision",
            Self::Recall { .. } => "recall",
            Self::F1 { .. } => "F1",
            Self::Accuracy { .. } => "accuracy",
            Self::Brier => "Brier score",
            Self::LogLoss => "log loss",
            Self::CalibrationError { .. } => "calibration error",
        }
    }

    /// Computes the metric of one label's observed entries; `None` also if a label is outside [0, 1].
    ///
    /// # Panics
    /// If the two slices differ in length.
    pub fn of(self, scores: &[f64], labels: &[f64]) -> Option<f64> {
        let positive = || -> Option<Vec<_>> {
            labels.iter().map(|&label| (0.0..=1.0).contains(&label).then_some(label >= 0.5)).collect()
        };
        let confusion = |threshold| confusion(scores, &positive()?, threshold);
        match self {
            Self::Auroc => auroc(scores, &positive()?),
            Self::AveragePrecision => average_precision(scores, &positive()?),
            Self::Precision { threshold } => confusion(threshold)?.precision(),
            Self::Recall { threshold } => confusion(threshold)?.recall(),
            Self::F1 { threshold } => confusion(threshold)?.f1(),
            Self::Accuracy { threshold } => confusion(threshold)?.accuracy(),
            Self::Brier => brier(scores, labels),
            Self::LogLoss => log_loss(scores, labels),
            Self::CalibrationError { bins } => expected_calibration_error(scores, labels, bins),
        }
    }

    /// Whether scores must be probabilities.
    pub fn takes_probabilities(self) -> bool {
        matches!(self, Self::Brier | Self::LogLoss | Self::CalibrationError { .. })
    }
}
