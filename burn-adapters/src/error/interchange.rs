//! Errors of the formats of other packages.

use std::path::PathBuf;

/// A directory of another package cannot be read, or an adapter cannot be written as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// A foreign file that is not the expected JSON.
    #[error("{} is not the JSON that is expected there", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The error of the JSON reader.
        #[source]
        source: serde_json::Error,
    },

    /// A directory of `save_adapter_fusion`.
    #[error("{} is that of a fusion over adapters, which is not read; import the adapters and fuse them with `--fuse`", path.display())]
    IsFusion {
        /// The settings of the fusion.
        path: PathBuf,
    },

    /// An unsupported setting.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Name of the setting.
        key: String,
        /// Its value, as JSON.
        found: String,
        /// The supported values.
        expected: String,
    },

    /// A directory without the files of its format.
    #[error("{} holds none of {expected}", directory.display())]
    NoFile {
        /// The directory.
        directory: PathBuf,
        /// The names of the missing files.
        expected: String,
    },

    /// A file of tensors that cannot be read.
    #[error("{} cannot be read as a file of tensors: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        reason: String,
    },

    /// A directory with an adapter and without a head.
    #[error("{} has no head for the adapter's predictions; give the labels (`--labels A,B`) to start with an untrained head", directory.display())]
    NoHead {
        /// The directory.
        directory: PathBuf,
    },

    /// An adapter that cannot be written in a foreign format.
    #[error("{format} has no place for {what}; {remedy}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What cannot be written.
        what: String,
        /// A way out.
        remedy: &'static str,
    },
}
