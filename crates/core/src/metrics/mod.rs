//! Metrics of a model's scores, over the observed entries only.
//!
//! The functions take one label's observed entries; [`Metric`] selects one of them at run time.
//!
//! A metric that the data does not define is `None`, never 0, so that a mean can leave it out.

mod calibration;
mod classification;
mod metric;
mod ranking;

pub use self::calibration::{bin, brier, expected_calibration_error, log_loss};
pub use self::classification::{Confusion, confusion};
pub use self::metric::Metric;
pub use self::ranking::{auroc, average_precision};
