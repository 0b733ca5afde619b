//! The bases on this machine: their directories, files and sizes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::is_base;
use super::own_cache;

/// A base in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedBase {
    /// The name for `--base`.
    pub name: String,
    /// Where its files are.
    pub directory: PathBuf,
    /// Their size in bytes.
    pub bytes: u64,
}

/// The bases in this program's cache and in Hugging Face's, by name.
///
/// # Errors
/// A cache that cannot be listed.
pub fn cached() -> Result<Vec<CachedBase>> {
    let own = subdirectories(&own_cache()?)?;
    let own = own.into_iter().filter(|(name, _)| !name.starts_with('.'));
    let mut found = own.collect::<Vec<_>>();
    for (name, repository) in subdirectories(hf_hub::Cache::from_env().path())? {
        let Some(name) = name.strip_prefix("models--") else { continue };
        let newest = std::fs::read_to_string(repository.join("refs/main")).ok();
        let snapshot =
            newest.map(|commit| repository.join("snapshots").join(commit.trim())).filter(|path| {
                // A damaged reference may point elsewhere.
                path.parent().is_some_and(|parent| parent.ends_with("snapshots"))
            });
        found.extend(snapshot.map(|snapshot| (name.to_owned(), snapshot)));
    }
    let bases = found.into_iter().filter(|(_, directory)| is_base(directory));
    let bases = bases.map(|(name, directory)| {
        let bytes = files_in(&directory)?.iter().map(|(_, bytes)| bytes).sum();
        Ok(CachedBase { name: name.replacen("--", "/", 1), directory, bytes })
    });
    let mut bases: Vec<CachedBase> = bases.collect::<Result<_>>()?;
    bases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bases)
}

/// The files of a directory with their sizes, by name.
///
/// # Errors
/// A directory that cannot be listed.
pub fn files_in(directory: &Path) -> Result<Vec<(String, u64)>> {
    let listing = || format!("listing {}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        // Hugging Face's cache has links.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if let Some(name) = path.file_name().filter(|_| metadata.is_file()) {
            files.push((name.to_string_lossy().into_owned(), metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// The directories in a directory by name; none if there is no such directory.
fn subdirectories(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("listing {}", directory.display()));
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", directory.display()))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_dir()) {
            found.push((name.to_string_lossy().into_owned(), path));
        }
    }
    Ok(found)
}
