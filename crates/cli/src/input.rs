//! Files that the program reads.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Result, ensure};

pub fn open(path: &Path) -> Result<File> {
    ensure!(!path.is_dir(), "it is a folder where a file was expected");
    Ok(File::open(path)?)
}

pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub fn text(path: &Path) -> Result<String> {
    Ok(io::read_to_string(open(path)?)?)
}
