//! A partially downloaded file, and the version of the remote file to which it belongs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use burn_adapters::file::atomic;
use serde::{Deserialize, Serialize};

use super::error::FetchError;

/// Identifies the version of a file on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validator {
    /// A strong `ETag`.
    Etag(String),
    /// A `Last-Modified`, if there is no strong `ETag`.
    LastModified(String),
}

impl Validator {
    pub(super) fn value(&self) -> &str {
        match self {
            Self::Etag(value) | Self::LastModified(value) => value,
        }
    }
}

/// The version of a partial file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) url: String,
    pub(super) validator: Validator,
    /// Size of the complete file.
    pub(super) bytes: Option<u64>,
    /// Commit of the repository.
    pub(super) commit: Option<String>,
}

impl Version {
    /// Reads the version of a partial file. If it cannot be read or has another URL, the file is downloaded from the
    /// beginning.
    pub(super) fn parse(bytes: &[u8], url: &str) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|version: &Self| version.url == url)
    }
}

/// A file that is being downloaded, with its version in a file next to it.
#[derive(Debug)]
pub(super) struct PartialFile {
    pub(super) path: PathBuf,
    version: PathBuf,
}

impl PartialFile {
    pub(super) fn new(path: &Path) -> Self {
        let mut version = path.as_os_str().to_owned();
        version.push(".download");
        Self { path: path.to_owned(), version: version.into() }
    }

    /// Bytes received so far.
    pub(super) fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The version of the partial file, if there is one that can be resumed.
    pub(super) fn version(&self, url: &str) -> Option<Version> {
        if self.length() == 0 {
            return None;
        }
        Version::parse(&fs::read(&self.version).ok()?, url)
    }

    /// Creates an empty file of this version; without a version it cannot be resumed later.
    pub(super) fn begin(&self, version: Option<&Version>) -> Result<File, FetchError> {
        // In this order, so that a partial file never has the version of another one.
        self.discard()?;
        if let Some(version) = version {
            let bytes = serde_json::to_vec(version).map_err(io::Error::from);
            bytes
                .and_then(|bytes| atomic::write(&self.version, &bytes))
                .map_err(FetchError::disk(&self.version))?;
        }
        File::create(&self.path).map_err(FetchError::disk(&self.path))
    }

    /// Opens the partial file to append to it.
    pub(super) fn resume(&self) -> Result<File, FetchError> {
        OpenOptions::new().append(true).open(&self.path).map_err(FetchError::disk(&self.path))
    }

    /// Removes the file, and then its version.
    pub(super) fn discard(&self) -> Result<(), FetchError> {
        remove(&self.path)?;
        remove(&self.version)
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FetchError::disk(path)(error)),
        _ => Ok(()),
    }
}
