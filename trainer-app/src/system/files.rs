//! Files that are written completely or not at all.

use std::path::Path;

use anyhow::{Context, Result};
use burn_adapters::file::atomic;

use crate::exit::UsageError;

/// Replaces the content of a file, completely or not at all; see [`atomic`].
///
/// # Errors
/// What the file system reports, with the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Checks that a command can create a file: that nothing exists at its path, and that its directory does.
///
/// # Errors
/// A [`UsageError`] that names the path.
pub fn check_new(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(UsageError::new(format!(
            "{} cannot be written, because there is no directory {}; create it first",
            path.display(),
            directory.display()
        )));
    }
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "{} already exists and would be overwritten; choose another file with --out, or remove it",
        path.display()
    )))
}
