//! The errors of this crate: one type for each area, and [`AdapterError`] for all of them.

mod compose;
mod file;
mod head;
#[cfg(feature = "interchange")]
mod interchange;
mod merge;
#[cfg(feature = "tensorflow")]
mod tensorflow;

pub use compose::ComposeError;
pub use file::{FileError, TensorProblems};
pub use head::HeadError;
#[cfg(feature = "interchange")]
pub use interchange::InterchangeError;
pub use merge::MergeError;
#[cfg(feature = "tensorflow")]
pub use tensorflow::TensorflowError;

use crate::methods::PlanError;

/// An adapter cannot be built, read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),

    /// A head cannot be built or described.
    #[error(transparent)]
    Head(#[from] HeadError),

    /// The modules of a task cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),

    /// Adapters cannot be combined.
    #[error(transparent)]
    Compose(#[from] ComposeError),

    /// A file with an adapter cannot be written, read or used.
    #[error(transparent)]
    File(#[from] FileError),

    /// A directory of another package cannot be read or written.
    #[cfg(feature = "interchange")]
    #[error(transparent)]
    Interchange(#[from] InterchangeError),

    /// A TensorFlow checkpoint cannot be read.
    #[cfg(feature = "tensorflow")]
    #[error(transparent)]
    Tensorflow(#[from] TensorflowError),

    /// A task adapter of a base with another shape.
    #[error(
        "the task was made for a base of {} layers, {} wide, but this base has {} layers and is {} wide",
        task.n_layers, task.d_model, base.n_layers, base.d_model
    )]
    OtherShape {
        /// The shape of its base.
        task: BaseShape,
        /// The shape of this base.
        base: BaseShape,
    },
}

/// The shape of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseShape {
    /// Number of layers.
    pub n_layers: usize,
    /// Width of the hidden states.
    pub d_model: usize,
}
