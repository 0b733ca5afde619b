//! Errors of merging.

/// The modules of a task cannot be merged into the weights of its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// LoRAs with gates, whose effect depends on the text.
    #[error(
        "the low-rank corrections have gates, which see the text, so that no weights can hold them; keep the adapter beside its base"
    )]
    Gated,
}
