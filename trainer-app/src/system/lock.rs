//! File locks between processes, for runs, ledgers, cache entries and downloads.
//!
//! The operating system releases a lock when the process ends, in whatever way.
//! The lock file is not removed, since two processes could then lock two files of one name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// An error: another process holds the lock.
#[derive(Debug, thiserror::Error)]
#[error("{} is in use by {}", path.display(), holder.as_deref().unwrap_or("another process"))]
pub struct InUse {
    /// What is locked.
    pub path: PathBuf,
    /// Who locked it, if known: `process 1234`.
    pub holder: Option<String>,
}

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is freed when this is dropped"]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a directory that exists, by a file `.lock` in it.
    ///
    /// # Errors
    /// [`InUse`] if another process, or another part of this one, holds it.
    pub fn directory(directory: &Path) -> Result<Self> {
        Self::try_file(&directory.join(".lock"), directory)
    }

    /// Like [`directory`](Self::directory), but waits for the lock.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn wait_directory(directory: &Path) -> Result<Self> {
        Self::wait_file(&directory.join(".lock"), || ())
    }

    /// Locks a path by a file `.NAME.lock` next to it; the path itself need not exist.
    ///
    /// # Errors
    /// [`InUse`] if another process, or another part of this one, holds it.
    pub fn beside(path: &Path) -> Result<Self> {
        Self::try_file(&lock_beside(path)?, path)
    }

    /// Like [`beside`](Self::beside), but waits for the lock; `on_wait` is called once before waiting.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn wait_beside(path: &Path, on_wait: impl FnOnce()) -> Result<Self> {
        Self::wait_file(&lock_beside(path)?, on_wait)
    }

    fn wait_file(lock: &Path, on_wait: impl FnOnce()) -> Result<Self> {
        let file = open(lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                on_wait();
                file.lock().with_context(|| format!("locking {}", lock.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", lock.display()));
            }
        }
        Ok(Self { _file: file })
    }

    fn try_file(lock: &Path, locked: &Path) -> Result<Self> {
        let mut file = open(lock)?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file);
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                Err(InUse { path: locked.to_owned(), holder: holder(&file) }.into())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking {}", lock.display()))
            }
        }
    }
}

fn lock_beside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
    let mut lock = std::ffi::OsString::from(".");
    lock.push(name);
    lock.push(".lock");
    let lock = path.with_file_name(lock);
    if let Some(parent) = lock.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    }
    Ok(lock)
}

/// Writes the process id into the lock file, for the messages of other processes.
fn sign(file: &mut File) {
    // The lock works without it, for example on a full disk.
    let _ = file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id()));
}

/// The process that holds a lock.
fn holder(file: &File) -> Option<String> {
    let mut signature = String::new();
    file.take(64).read_to_string(&mut signature).ok()?;
    let (what, id) = signature.split_once(' ')?;
    let is_signed = what == "process" && id.parse::<u32>().is_ok();
    is_signed.then_some(signature)
}

fn open(lock: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(lock)
        .with_context(|| format!("opening the lock file {}", lock.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_is_refused_until_it_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let held = Lock::directory(directory.path()).unwrap();
        let error = Lock::directory(directory.path()).unwrap_err();
        assert!(error.downcast_ref::<InUse>().is_some(), "{error:#}");
        let holder = format!("is in use by process {}", std::process::id());
        assert!(error.to_string().ends_with(&holder), "{error:#}");
        drop(held);
        let _again = Lock::directory(directory.path()).unwrap();

        let file = directory.path().join("base.bin");
        let held = Lock::beside(&file).unwrap();
        assert!(Lock::beside(&file).is_err());
        let waiter = std::thread::spawn({
            let file = file.clone();
            move || Lock::wait_beside(&file, || ()).map(drop)
        });
        drop(held);
        waiter.join().unwrap().unwrap();
    }
}
