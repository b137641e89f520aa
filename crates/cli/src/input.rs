//! Files that the program reads.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

pub fn open(path: &Path) -> Result<File> {
    ensure!(!path.is_dir(), "expected a file, found a folder");
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

/// Fails if an output of `option` is also an input, under any path.
pub fn keep(inputs: &[&Path], outputs: &[PathBuf], option: &str) -> Result<()> {
    // A file that does not exist yet cannot be an input.
    let outputs: Vec<_> = outputs.iter().filter_map(|path| path.canonicalize().ok()).collect();
    match inputs.iter().find(|input| input.canonicalize().is_ok_and(|input| outputs.contains(&input))) {
        Some(input) => bail!("{option} would overwrite the input {}", input.display()),
        None => Ok(()),
    }
}
