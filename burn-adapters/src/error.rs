//! The errors of this crate.

use std::path::PathBuf;

use crate::methods::PlanError;

/// An adapter cannot be built, read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),

    /// A head without outputs.
    #[error("the head has 0 outputs, expected one per class, or 1 for a regression")]
    NoOutputs,

    /// A dropout rate outside `0..1`.
    #[error("the head's dropout is {found}, expected at least 0 and below 1")]
    HeadDropout {
        /// The value in the configuration.
        found: f64,
    },

    /// Pooling with a pooler that the base does not have.
    #[error(
        "pooling `pooler` needs a base with a pooler and this one has none; choose `first-token` or `mean`"
    )]
    NoPooler,

    /// Weights that cannot be those of a mean.
    #[error(
        "the weights of the mean are {weights:?}, expected one for each adapter, with a sum above 0"
    )]
    AverageWeights {
        /// The value.
        weights: Vec<f64>,
    },

    /// Adapters that differ in plan, pooling or head cannot be averaged.
    #[error("adapter {} of those to be averaged has another plan, pooling or head than the first; only adapters of one kind have a mean", index + 1)]
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
    WillNotMix {
        /// The obstacle.
        found: &'static str,
    },

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

    /// Metadata for a head with another number of outputs.
    #[error(
        "the metadata describes a head of {described} outputs, but the model's head has {found}"
    )]
    HeadKind {
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

    /// Labels for a regression.
    #[error(
        "the head has one output, which is a score and no class, but the labels {} were given; leave them out",
        labels.join(", ")
    )]
    LabelsOfScore {
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
    CheckpointOfOtherBase {
        /// The checkpoint.
        path: PathBuf,
        /// The first tensor that differs.
        tensor: String,
    },

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
    #[error("the tensors of the adapter file {} are not those its plan asks for:{problems}", path.display())]
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
    WillNotSave {
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
    #[error("{} holds no head that gives the adapter's answers; name the labels to start an untrained one", directory.display())]
    NoHead {
        /// The directory.
        directory: PathBuf,
    },

    /// An adapter that cannot be written in a foreign format.
    #[error("{format} has no place for {what}; {remedy}")]
    NoPlace {
        /// The format.
        format: &'static str,
        /// What cannot be written.
        what: String,
        /// A way out.
        remedy: &'static str,
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

impl std::fmt::Display for TensorProblems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
