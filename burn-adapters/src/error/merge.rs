//! Errors of merging.

/// The modules of a task cannot be merged into the weights of its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// LoRAs with gates, whose effect depends on the text.
    #[error(
        "LoRA with gates cannot be merged, because the gates depend on the text; use the adapter file with its base"
    )]
    Gated,
}
