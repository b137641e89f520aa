//! Loss functions on [`tch`] (libtorch) for multi-label data in which most labels were never measured.
//!
//! A missing label contributes exactly nothing: no loss and no gradient, whatever its cell holds. [`Labels`] hold the targets
//! and record which are observed. A [`Loss`] takes logits, labels, and a [`Reduction`], which says what divides the sum.
//!
//! ```
//! use masked_loss::{BceWithLogits, Labels, Loss, Reduction};
//! use tch::Tensor;
//!
//! let table = Tensor::from_slice(&[1.0, f64::NAN, 0.0, f64::NAN, 0.0, 1.0]).view([3, 2]); // NaN: never measured
//! let table = Labels::from_nan(&table)?; // checked once, for all batches
//!
//! let batch = table.rows(&Tensor::from_slice(&[0i64, 1]))?;
//! let logits = Tensor::from_slice(&[0.0, 3.0, -1.0, f64::NAN]).view([2, 2]).set_requires_grad(true);
//! let loss = BceWithLogits::default().forward(&logits, &batch, Reduction::Mean)?;
//! loss.backward();
//!
//! assert!((loss.double_value(&[]) - 0.503204).abs() < 1e-6); // the mean over the two observed entries
//! assert_eq!(logits.grad().double_value(&[0, 1]), 0.0); // exactly
//! # Ok::<(), masked_loss::Error>(())
//! ```
//!
//! # What is here
//!
//! * Losses of single entries: [`BceWithLogits`], [`BceProbabilities`], [`SigmoidFocal`], [`Asymmetric`], [`Hill`],
//!   [`UnbiasedBce`], [`Huber`], [`SquaredError`], [`AbsoluteError`], and [`Censored`] where some labels are bounds.
//! * Losses of more than one entry: [`SoftmaxCrossEntropy`], [`NonNegativePu`], [`expected_positives`].
//! * A loss of your own: implement [`Elementwise`], and check it with [`gradcheck`](gradcheck()).
//! * For wide tables with few observed labels: [`Loss::forward_linear`] computes only the observed logits of the last layer,
//!   and [`Labels::from_csr`] and [`Labels::from_entries`] store only the observed entries.
//! * For training loops: [`Accumulator`] (exact gradient accumulation), [`Optimizer`] (moves only the weights of observed
//!   labels), [`RowGuard`] (restores the weights of unobserved labels after a step of any optimizer), and [`Missing`],
//!   [`SelfPaced`], [`ClassSelective`] and [`LargeLoss`] (alternatives to ignoring missing labels).
//! * For evaluation: [`metrics`] over the observed entries.
//!
//! A loss runs on one of two [backends](Backend): the fused backend computes value and gradient in one pass on the CPU; the
//! composed backend is a graph of libtorch operations on the CPU or a GPU.
//!
//! The [`prelude`] imports what most programs use. The [`guide`] explains all of this. Read [`guide::linking`] first to build a program with this crate.
#![deny(missing_docs, missing_debug_implementations)]

mod check;
mod composed;
mod error;
mod fused;
mod gradcheck;
pub mod guide;
mod labels;
mod loss;
mod losses;
pub mod metrics;
mod native;
mod optimizer;
mod plan;
pub mod prelude;
mod reduction;
mod training;

pub use composed::Composed;
pub use error::{Error, Result};
pub use fused::simd_level;
pub use gradcheck::{GradReport, gradcheck};
pub use labels::{Labels, PartialBce, Propensity, Raw, Weights};
pub use loss::{Backend, Head, Linear, Loss, Missing, Named, WithMissing, catalogue};
pub use losses::{
    Censored, NonNegativePu, SoftmaxCrossEntropy, expected_positives, masked_bce, masked_bce_with_logits,
};
pub use masked_loss_core;
pub use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Hill, Huber, NegativeEntropy, SigmoidFocal,
    SquaredError, UnbiasedBce,
};
pub use masked_loss_core::{Dual, Elementwise, Real, check_setting};
pub use native::release_buffers;
pub use optimizer::{Optimizer, Rule, Update};
pub use reduction::Reduction;
pub use training::{Accumulator, ClassSelective, Correction, LargeLoss, RowGuard, SelfPaced};

/// This crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Compiles and runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
