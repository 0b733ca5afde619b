//! The file with the input that is being read. It is written before the reader is called, because a stack overflow, a
//! second panic and exhausted memory end the process before anything could be saved.

use std::fs::File;
use std::io::{Result, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// An open file that holds the latest input, and how many inputs it has held.
pub(crate) struct CurrentInput {
    path: PathBuf,
    file: File,
    count: AtomicUsize,
}

impl CurrentInput {
    /// Creates the file `fuzz-NAME-PROCESS` in the system's temporary directory.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("fuzz-{name}-{}", std::process::id()));
        Ok(Self { file: File::create(&path)?, path, count: AtomicUsize::new(0) })
    }

    /// Replaces the content of the file. It takes a microsecond, as the file stays open and is not flushed to the disk.
    pub(crate) fn set(&self, bytes: &[u8]) -> Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Number of inputs so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file after a run without a failure.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path)
    }
}
