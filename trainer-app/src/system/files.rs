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

/// Checks that nothing exists at the path of a file that a command is to create.
///
/// # Errors
/// A [`UsageError`] that names the path.
pub fn check_new(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "{} already exists and would be overwritten; choose another file with --out, or remove it",
        path.display()
    )))
}
