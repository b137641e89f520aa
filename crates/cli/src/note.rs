//! Remarks on standard error.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Prints a remark. Nobody may be reading it: a closed standard error is no fault.
pub fn note(text: impl Display) {
    let _ = writeln!(stderr(), "note: {text}");
}
