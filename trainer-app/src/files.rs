//! Files that are written completely or not at all.

use std::path::Path;

use anyhow::{Context, Result};
use burn_adapters::file::atomic;

/// Replaces the content of a file, completely or not at all; see [`atomic`].
///
/// # Errors
/// What the file system reports, with the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
