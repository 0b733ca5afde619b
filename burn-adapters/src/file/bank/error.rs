//! The errors and warnings of banks.

use std::path::{Path, PathBuf};

use super::index::BANK_VERSION;
use crate::error::AdapterError;
use crate::file::native::BaseIdentity;

/// A problem of a bank that does not prevent reading it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BankWarning {
    /// One of the two indices does not have its checksum.
    #[error(
        "one of the two indices of the bank {} is damaged, or a change was cut off while it was written; the bank is \
         read as it was after change {generation}, and what may have been added or removed after that is not seen",
        path.display()
    )]
    DamagedIndex {
        /// The bank.
        path: PathBuf,
        /// The change whose index is read, counted from the first.
        generation: u64,
    },
}

/// A bank cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BankError {
    /// An error of the file system.
    #[error("cannot {doing} the bank {}", path.display())]
    File {
        /// The operation.
        doing: &'static str,
        /// The bank.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// The file already exists.
    #[error("there is already a file or directory {}; choose another name, or add to that bank", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },

    /// A file of another kind.
    #[error("{} is not a bank: it does not begin with `burnbank`", path.display())]
    NotABank {
        /// The file.
        path: PathBuf,
    },

    /// An unsupported version.
    #[error("the bank {} has version {found}, expected {BANK_VERSION} or lower; use the release that wrote it", path.display())]
    Version {
        /// The bank.
        path: PathBuf,
        /// Version in the file.
        found: u32,
    },

    /// No index has its checksum.
    #[error("the bank {} is damaged or was cut short: {reason}; add its adapters to a new bank", path.display())]
    Damaged {
        /// The bank.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// An adapter whose bytes changed.
    #[error("the adapter `{task}` in the bank {} is damaged: its bytes do not have the checksum in the index; remove it and add it again", path.display())]
    DamagedEntry {
        /// The bank.
        path: PathBuf,
        /// Its name.
        task: String,
    },

    /// A task that is not in the bank.
    #[error("the bank {} has no task `{task}`; it has {}", path.display(), names(known))]
    UnknownTask {
        /// The bank.
        path: PathBuf,
        /// The name.
        task: String,
        /// The names in the bank.
        known: Vec<String>,
    },

    /// A name that is already used.
    #[error("the bank {} has a task `{task}` already; remove it first, or add {} under another name, as NAME={}", path.display(), adapter.display(), adapter.display())]
    TakenTask {
        /// The bank.
        path: PathBuf,
        /// The adapter file.
        adapter: PathBuf,
        /// The name.
        task: String,
    },

    /// Two files under one name.
    #[error(
        "{} and {} are both adapters for the task `{task}`; give one of them another name, as NAME={}",
        adapters[0].display(), adapters[1].display(), adapters[1].display()
    )]
    SameTask {
        /// The name.
        task: String,
        /// The adapter files.
        adapters: [PathBuf; 2],
    },

    /// A file that changed while it was read.
    #[error("the adapter file {} was changed while it was added; nothing was added, try again", adapter.display())]
    Changed {
        /// The adapter file.
        adapter: PathBuf,
    },

    /// An invalid name.
    #[error(
        "`{task}`, as {} is called, is no name for a task in a bank; expected 1 to 100 letters, digits, `-`, `_` and `.`; give it another one, as NAME={}",
        adapter.display(), adapter.display()
    )]
    TaskName {
        /// The adapter file.
        adapter: PathBuf,
        /// The name.
        task: String,
    },

    /// An adapter of another base.
    #[error(
        "the adapter {} was trained on the base `{}` with fingerprint {}, but the bank is for `{}` with fingerprint {}; put it into a bank of its base",
        adapter.display(), found.name, found.fingerprint, expected.name, expected.fingerprint
    )]
    OtherBase {
        /// The adapter file.
        adapter: PathBuf,
        /// The base of the adapter.
        found: BaseIdentity,
        /// The base of the bank.
        expected: BaseIdentity,
    },

    /// An adapter that cannot be read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

fn names(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

pub(super) fn io(path: &Path, doing: &'static str, source: std::io::Error) -> BankError {
    BankError::File { doing, path: path.to_owned(), source }
}
