//! Errors of TensorFlow's checkpoints.

use std::path::PathBuf;

/// The adapters in a TensorFlow checkpoint cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorflowError {
    /// A TensorFlow checkpoint that cannot be read.
    #[error("cannot read the checkpoint {}", path.display())]
    Checkpoint {
        /// The prefix of the checkpoint's files.
        path: PathBuf,
        /// The error of the reader.
        #[source]
        source: burn_bert::BertError,
    },

    /// A checkpoint without adapters.
    #[error("the checkpoint {} holds no adapters: {name} is missing; it is that of a base, or of another method", path.display())]
    NoAdapters {
        /// The checkpoint.
        path: PathBuf,
        /// The missing tensor.
        name: String,
    },

    /// A checkpoint of adapters on another base.
    #[error("the adapters in the checkpoint {} were trained on another base: its tensor {tensor} is not this base's", path.display())]
    OtherBase {
        /// The checkpoint.
        path: PathBuf,
        /// The first tensor that differs.
        tensor: String,
    },
}
