//! What most programs use: `use masked_loss::prelude::*;`
//!
//! ```
//! use masked_loss::prelude::*;
//! use tch::Tensor;
//!
//! let labels = Labels::from_nan(&Tensor::from_slice(&[1.0, f64::NAN]))?;
//! let loss = BceWithLogits::default().forward(&Tensor::from_slice(&[0.0, 5.0]), &labels, Reduction::Mean)?;
//! assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
//! # Ok::<(), masked_loss::Error>(())
//! ```

pub use crate::{
    AbsoluteError, Accumulator, Asymmetric, BceProbabilities, BceWithLogits, Censored, Elementwise, Hill, Huber,
    Labels, Loss, Missing, NonNegativePu, Real, Reduction, RowGuard, SigmoidFocal, SoftmaxCrossEntropy, SquaredError,
    UnbiasedBce, Weights,
};
