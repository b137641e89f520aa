//! Sentences on standard error. Nobody may be reading them: that it is closed or full is no fault.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Prints a remark.
pub fn note(text: impl Display) {
    let _ = writeln!(stderr(), "note: {text}");
}

/// Prints why the program fails.
pub fn error(text: impl Display) {
    let _ = writeln!(stderr(), "error: {text}");
}
