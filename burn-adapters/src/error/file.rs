//! Errors of files with adapters.

use std::fmt;
use std::path::PathBuf;

use super::AdapterError;

/// A file with an adapter cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// An adapter file could not be written.
    #[error("cannot write the adapter file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// An adapter file could not be read.
    #[error("cannot read the adapter file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// A file that is not complete safetensors.
    #[error("{} is not a whole safetensors file: it is of another kind, was cut short, or is damaged", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        #[source]
        source: safetensors::SafeTensorError,
    },

    /// A safetensors file that is not an adapter file.
    #[error("{} is a safetensors file but not an adapter of ours: its header has no `{key}` entry", path.display())]
    NotAnAdapter {
        /// The file.
        path: PathBuf,
        /// The missing key of the header.
        key: &'static str,
    },

    /// A header that is not the expected JSON.
    #[error("the adapter file {} has a header that cannot be read", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The error of the JSON reader.
        #[source]
        source: serde_json::Error,
    },

    /// A file whose checksum differs.
    #[error("the adapter file {} is damaged: the SHA-256 of its {part} is not the one that was written with it; take another copy of the file, or train the adapter again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `header` or `tensors`.
        part: &'static str,
    },

    /// An unsupported format version.
    #[error("the adapter file {} has format version {found}, expected {expected} or lower; use the release that wrote it", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: u32,
        /// The highest version that this crate reads, which is the one it writes.
        expected: u32,
    },

    /// A configuration that does not fit the base.
    #[error("the adapter file {} describes something that cannot be built on this base", path.display())]
    Unbuildable {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: Box<AdapterError>,
    },

    /// An adapter of another base.
    #[error(
        "the adapter {} was trained on the base `{name}` with fingerprint {expected}, but this base has fingerprint {found}; load it with the base it belongs to",
        path.display()
    )]
    WrongBase {
        /// The file.
        path: PathBuf,
        /// Name of the base in the file.
        name: String,
        /// Fingerprint in the file.
        expected: String,
        /// Fingerprint of the base that was given.
        found: String,
    },

    /// An adapter of a base with another tokenizer.
    #[error(
        "the adapter {} was trained with another tokenizer: that of the base `{name}` had fingerprint {expected}, and this base's has {found}, so that texts would become other tokens; use the base with the tokenizer files it had",
        path.display()
    )]
    WrongTokenizer {
        /// The file.
        path: PathBuf,
        /// Name of the base in the file.
        name: String,
        /// Fingerprint in the file.
        expected: String,
        /// Fingerprint of the tokenizer that was given.
        found: String,
    },

    /// Tensors that are not those of the plan.
    #[error("the tensors of the adapter file {} are not those that its settings describe:{problems}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The problems.
        problems: TensorProblems,
    },

    /// Weights that are not finite.
    #[error("the adapter file {} holds NaN or infinite weights in {}", path.display(), tensors.join(", "))]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Names of the tensors.
        tensors: Vec<String>,
    },

    /// A model or metadata that is not finite cannot be saved.
    #[error("{what} is NaN or infinite, expected finite numbers; {} was not written", path.display())]
    CannotSave {
        /// The file.
        path: PathBuf,
        /// What is not finite.
        what: String,
    },

    /// A loaded model computes other logits than the saved one.
    #[error(
        "the adapter {} does not compute what it computed when it was saved: the logits of its probe differ by {difference:e}, expected at most {tolerance:e}; the base or the file was changed",
        path.display()
    )]
    Probe {
        /// The file.
        path: PathBuf,
        /// Largest difference, NaN included.
        difference: f32,
        /// Largest difference allowed.
        tolerance: f32,
    },
}

/// The tensors of a file that differ from the expected ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorProblems {
    /// Expected and not in the file.
    pub missing: Vec<String>,
    /// In the file and not expected.
    pub left_over: Vec<String>,
    /// Of another shape or number type, as sentences.
    pub wrong: Vec<String>,
}

impl TensorProblems {
    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.wrong.is_empty()
    }
}

/// The highest number of tensors of a kind that an error names.
const MAX_NAMES: usize = 40;

impl fmt::Display for TensorProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, names) in
            [("missing", &self.missing), ("left over", &self.left_over), ("wrong", &self.wrong)]
        {
            if let Some(more) = names.len().checked_sub(1 + MAX_NAMES) {
                let first = names[..MAX_NAMES].join(", ");
                write!(f, "\n  {what}: {first} and {} more", more + 1)?;
            } else if !names.is_empty() {
                write!(f, "\n  {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}
