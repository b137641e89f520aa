//! Standard output.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use serde_json::Value;

pub const FAILED: &str = "cannot write to standard output";

pub fn print(line: &Value) -> Result<()> {
    writeln!(stdout().lock(), "{line}").context(FAILED)
}
