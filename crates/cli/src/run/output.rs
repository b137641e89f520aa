//! Folders of output files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

pub const WEIGHTS: &str = "weights.safetensors";
const PARTIAL: &str = ".partial-";

pub struct Folder(PathBuf);

impl Folder {
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// The folder of a file, and the file's name in it.
    pub fn of(file: &Path) -> Result<(Self, &str)> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} is not a file name in Unicode", file.display()))?;
        ensure!(!file.is_dir(), "{} is a folder", file.display());
        let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok((Self::create(folder.unwrap_or(Path::new(".")))?, name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes what a killed run was writing. Only for the folder of a run: elsewhere another program may be writing.
    pub fn sweep(&self) -> Result<()> {
        let entries = fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL)) {
            let _ = fs::remove_dir_all(entry.path());
        }
        Ok(())
    }

    /// Removes what an earlier run left.
    pub fn clear(&self, names: &[&str]) -> Result<()> {
        for path in names.iter().map(|name| self.0.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.with_context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        Ok(())
    }

    pub fn write_json(&self, name: &str, content: &impl Serialize) -> Result<()> {
        self.write(name, |path| Ok(fs::write(path, serde_json::to_string_pretty(content)? + "\n")?))
    }

    /// Writes to a temporary folder and renames: a reader finds the old file or the new one, never half of it. After a
    /// failure the temporary folder is removed.
    pub fn write(&self, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.0.join(name);
        let place = || -> Result<()> {
            let folder = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(&self.0)?;
            // Under another name: a program that searches folders for such files would find it here too.
            let temporary = folder.path().join("file").with_extension(path.extension().unwrap_or_default());
            write(&temporary)?;
            File::open(&temporary)?.sync_all()?;
            Ok(fs::rename(&temporary, &path)?)
        };
        place().with_context(|| format!("cannot write {}", path.display()))
    }
}
