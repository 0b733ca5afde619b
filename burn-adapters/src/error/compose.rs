//! Errors of composition: averages, fusions and batches of several tasks.

/// Adapters cannot be combined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// Weights that cannot be those of a mean.
    #[error(
        "the weights of the mean are {weights:?}, expected one for each adapter, with a sum above 0"
    )]
    AverageWeights {
        /// The value.
        weights: Vec<f64>,
    },

    /// Adapters that differ in plan, pooling or head cannot be averaged.
    #[error("adapter {} of those to be averaged has another method, size, pooling or head than the first; only adapters that have all of these in common can be averaged", index + 1)]
    AverageOfUnlike {
        /// The first that differs, from 0.
        index: usize,
    },

    /// A fusion without adapters.
    #[error("there is no adapter to fuse; name one or more")]
    NothingToFuse,

    /// An adapter that cannot be fused.
    #[error(
        "an adapter cannot be fused ({found}); expected bottlenecks on a base that was not tuned, without a batch norm inside, all with the same placement"
    )]
    Unfusable {
        /// The obstacle.
        found: String,
    },

    /// A task that cannot share a batch with others.
    #[error("a task with {found} cannot share a batch with others; run it in batches of its own")]
    CannotMix {
        /// The obstacle.
        found: &'static str,
    },
}
