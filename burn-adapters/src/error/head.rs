//! Errors of heads.

/// A head cannot be built or described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A head without outputs.
    #[error("the head has 0 outputs, expected one per class, or 1 for a regression")]
    NoOutputs,

    /// A dropout rate outside `0..1`.
    #[error("the head's dropout is {found}, expected at least 0 and below 1")]
    Dropout {
        /// The value in the configuration.
        found: f64,
    },

    /// Pooling with a pooler that the base does not have.
    #[error(
        "pooling `pooler` needs a base with a pooler and this one has none; choose `first-token` or `mean`"
    )]
    NoPooler,

    /// Metadata for a head with another number of outputs.
    #[error(
        "the metadata describes a head of {described} outputs, but the model's head has {found}"
    )]
    Outputs {
        /// Outputs of the head kind in the metadata.
        described: usize,
        /// Outputs of the model.
        found: usize,
    },

    /// A number of labels that is not the number of outputs.
    #[error(
        "there are {} labels ({}) for a head with {outputs} outputs; give one for each output, in their order",
        labels.len(), labels.join(", ")
    )]
    LabelCount {
        /// The value.
        labels: Vec<String>,
        /// Outputs of the head.
        outputs: usize,
    },

    /// A calibration that is not of the head.
    #[error("the metadata has {found} for a head that predicts {head}; expected {expected}")]
    Calibration {
        /// What is there.
        found: String,
        /// What the head predicts.
        head: String,
        /// What can be there.
        expected: &'static str,
    },

    /// Labels for a regression.
    #[error(
        "the head has one output, which is a score and no class, but the labels {} were given; leave them out",
        labels.join(", ")
    )]
    LabelsOfScore {
        /// The value.
        labels: Vec<String>,
    },

    /// Labels for spans.
    #[error(
        "the head finds answers in texts and has no classes, but the labels {} were given; leave them out",
        labels.join(", ")
    )]
    LabelsOfSpan {
        /// The value.
        labels: Vec<String>,
    },

    /// Two classes with one name.
    #[error("the label `{label}` is there twice; every class needs a name of its own")]
    DuplicateLabel {
        /// The name.
        label: String,
    },

    /// A class without a name.
    #[error("a label is empty; every class needs a name")]
    EmptyLabel,
}
