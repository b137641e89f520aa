//! What a run leaves behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

pub struct Folder(PathBuf);

impl Folder {
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    pub fn write_json(&self, name: &str, content: &impl Serialize) -> Result<()> {
        self.write(name, |path| Ok(fs::write(path, serde_json::to_string_pretty(content)? + "\n")?))
    }

    /// Under a temporary name, then renamed: whoever reads finds the old file or the new one, never half of it.
    pub fn write(&self, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (temporary, path) = (self.0.join(format!(".partial-{name}")), self.0.join(name));
        write(&temporary)
            .and_then(|()| Ok(File::open(&temporary)?.sync_all()?))
            .and_then(|()| Ok(fs::rename(&temporary, &path)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
