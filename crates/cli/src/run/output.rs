//! Folders of output files.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

/// Prefix of what a run is writing; other programs that write to the folder use [`OTHER`].
const PARTIAL: &str = ".partial-";
const OTHER: &str = ".writing-";
/// Empty, and never removed: otherwise two runs could lock different files of that name.
const LOCK: &str = ".lock";

pub struct Folder {
    path: PathBuf,
    /// Locked until the process ends, however it ends; `None` outside of a run.
    lock: Option<File>,
}

impl Folder {
    fn create(path: &Path) -> Result<Self> {
        ensure!(!path.is_file(), "{}: expected a folder, found a file", path.display());
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path: path.to_owned(), lock: None })
    }

    /// The folder of a run. One run at a time may have it.
    pub fn lock(path: &Path) -> Result<Self> {
        let folder = Self::create(path)?;
        let name = path.join(LOCK);
        let lock = || -> Result<File> {
            let file = File::options().create(true).truncate(false).write(true).open(&name)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => bail!("another run is writing to {}", path.display()),
                // Some network filesystems have no locks.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                locked => locked?,
            }
            Ok(file)
        };
        let lock = lock().with_context(|| format!("cannot lock {}", name.display()))?;
        Ok(Self { lock: Some(lock), ..folder })
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
        &self.path
    }

    /// Removes what a killed run was writing.
    pub fn sweep(&self) -> Result<()> {
        let entries = fs::read_dir(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL)) {
            let _ = fs::remove_dir_all(entry.path());
        }
        Ok(())
    }

    /// Removes what an earlier run left.
    pub fn clear(&self, names: &[&str]) -> Result<()> {
        for path in names.iter().map(|name| self.path.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.with_context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        Ok(())
    }

    pub fn write_json(&self, name: &str, content: &impl Serialize) -> Result<()> {
        self.write(name, |path| Ok(fs::write(path, json(content)?)?))
    }

    /// Writes to a temporary folder and renames: a reader finds the old file or the new one, never half of it. After a
    /// failure the temporary folder is removed.
    pub fn write(&self, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.path.join(name);
        let place = || -> Result<()> {
            let prefix = if self.lock.is_some() { PARTIAL } else { OTHER };
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(&self.path)?;
            // Under another name, so that programs that search folders for such files do not find it here.
            let temporary = folder.path().join("file").with_extension(path.extension().unwrap_or_default());
            write(&temporary)?;
            File::open(&temporary)?.sync_all()?;
            Ok(fs::rename(&temporary, &path)?)
        };
        place().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The text of a JSON file.
pub fn json(content: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(content)? + "\n")
}
