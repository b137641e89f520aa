use std::fmt::Debug;

use tch::{Device, TchError};

use crate::reduction::Reduction;

/// An error: it names the argument, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes differ that must be equal. Nothing is broadcast.
    #[error("{argument}: expected shape {expected}, found {found:?}")]
    Shape {
        /// The argument at fault.
        argument: &'static str,
        /// The shape that fits the other arguments.
        expected: String,
        /// Its own shape.
        found: Vec<i64>,
    },
    /// A tensor has an unsupported element type or layout.
    #[error("{argument}: expected {expected}, found {found}")]
    Kind {
        /// The argument at fault.
        argument: &'static str,
        /// What is supported.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Two tensors are on different devices.
    #[error("{argument}: expected on {expected:?}, found on {found:?}")]
    Device {
        /// The argument at fault.
        argument: &'static str,
        /// The device of the other arguments.
        expected: Device,
        /// Its own device.
        found: Device,
    },
    /// A value is outside the accepted range.
    #[error("{argument}: expected {expected}, found {found}")]
    Range {
        /// The argument at fault.
        argument: &'static str,
        /// The accepted values.
        expected: String,
        /// The first value found outside.
        found: f64,
    },
    /// The requested backend does not support this input.
    #[error("the fused backend {0}; use the composed backend")]
    Fused(String),
    /// The requested head does not support this call.
    #[error("Head::{0}; use Head::Dense")]
    Head(String),
    /// A parameter that cannot be updated while its loss is computed.
    #[error("{argument}: it {reason}, so `Linear::update` cannot move it")]
    Update {
        /// The argument at fault.
        argument: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The reduction does not support this call.
    #[error("Reduction::{reduction:?} {reason}")]
    Reduction {
        /// The reduction at fault.
        reduction: Reduction,
        /// Why not.
        reason: &'static str,
    },
    /// A text does not describe a loss or a policy.
    #[error("{argument}: expected {expected}, found `{found}`")]
    Text {
        /// What the text is for, or the setting at fault.
        argument: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The environment variable `MASKED_LOSS_SIMD` selects instructions that this machine does not have.
    #[error("{0}")]
    Environment(String),
    /// libtorch failed, for example because it ran out of memory.
    #[error(transparent)]
    Torch(#[from] TchError),
}

impl From<masked_loss_core::Error> for Error {
    fn from(error: masked_loss_core::Error) -> Self {
        use masked_loss_core::Error as Core;
        match error {
            Core::Range { argument, expected, found } => Self::Range { argument, expected, found },
            Core::Text { argument, expected, found } => Self::Text { argument, expected, found },
            Core::Environment { .. } => Self::Environment(error.to_string()),
            error => Self::Torch(TchError::Torch(error.to_string())),
        }
    }
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn shape(argument: &'static str, expected: impl Debug, found: Vec<i64>) -> Self {
        Self::Shape { argument, expected: format!("{expected:?}"), found }
    }
}
