use std::fmt;
use std::ops::RangeInclusive;

/// An error of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A setting of a loss is outside what the loss accepts.
    Range {
        /// The setting at fault.
        argument: &'static str,
        /// The accepted values.
        expected: String,
        /// The value found.
        found: f64,
    },
    /// An environment variable has an unknown value, or one that this machine does not support.
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// The values accepted on this machine.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A text does not describe a loss or a policy.
    Text {
        /// What the text is for, or the setting at fault.
        argument: String,
        /// The accepted texts.
        expected: String,
        /// The text found.
        found: String,
    },
    /// The caller's threads failed.
    Threads(String),
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { argument, expected, found } => write!(f, "{argument}: expected {expected}, found {found}"),
            Self::Environment { variable, expected, found } => {
                write!(f, "{variable}: expected one of {expected}, found `{found}`")
            }
            Self::Text { argument, expected, found } => write!(f, "{argument}: expected {expected}, found `{found}`"),
            Self::Threads(reason) => write!(f, "threads failed: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// An [`Error::Text`].
    pub fn text(argument: &str, expected: &str, found: &str) -> Self {
        Self::Text { argument: argument.into(), expected: expected.into(), found: found.into() }
    }
}

/// Checks a setting of a loss, for [`Elementwise::validate`](crate::Elementwise::validate).
///
/// # Errors
/// [`Error::Range`] for a number that is not accepted, such as NaN.
pub fn check_setting(setting: &'static str, found: f64, accepted: RangeInclusive<f64>) -> Result<()> {
    if accepted.contains(&found) {
        return Ok(());
    }
    let shown = |bound: f64| match bound.abs() {
        0.0 | 1e-3..1e6 => format!("{bound:?}"),
        _ => format!("{bound:e}"),
    };
    let expected = match (*accepted.start(), *accepted.end()) {
        (f64::MIN, f64::MAX) => "a finite number".into(),
        (start, f64::MAX) => format!("a finite number of at least {}", shown(start)),
        (start, end) => format!("a number within [{}, {}]", shown(start), shown(end)),
    };
    Err(Error::Range { argument: setting, expected, found })
}
