//! Messages on standard error. A closed or full standard error is ignored.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Prints a note.
pub fn note(text: impl Display) {
    let _ = writeln!(stderr(), "note: {text}");
}

/// Prints why the program fails.
pub fn error(text: impl Display) {
    let _ = writeln!(stderr(), "error: {text}");
}
