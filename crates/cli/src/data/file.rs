//! Files, with a progress bar for large ones.

use std::fs::File;
use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressBarIter, ProgressFinish, ProgressStyle};

use crate::input;

/// Opens a file; a bar on standard error shows how much has been read.
pub fn open(path: &Path) -> Result<ProgressBarIter<File>> {
    let file = input::open(path)?;
    Ok(bar(file.metadata()?.len(), "{bytes} of {total_bytes}").wrap_read(file))
}

/// Hidden if standard error is not a terminal; removed when done.
pub fn bar(length: u64, count: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("reading {{bar:30}} {{percent:>3}} %  {count}  {{elapsed}}"));
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_finish(ProgressFinish::AndClear)
}
