//! What can go wrong, as sentences.

use std::path::PathBuf;

use crate::methods::PlanError;

/// Everything this crate refuses, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),

    /// A head that predicts nothing.
    #[error("the head has 0 outputs, expected one per class, or 1 for a regression")]
    NoOutputs,

    /// A rate outside `0..1`.
    #[error("the head's dropout is {found}, expected at least 0 and below 1")]
    HeadDropout {
        /// What the configuration says.
        found: f64,
    },

    /// A pooling the base cannot do.
    #[error(
        "pooling `pooler` needs a base with a pooler and this one has none; choose `first-token` or `mean`"
    )]
    NoPooler,

    /// Weights of which no mean can be taken.
    #[error(
        "the weights of the mean are {weights:?}, expected one for each adapter, with a sum above 0"
    )]
    AverageWeights {
        /// What was given.
        weights: Vec<f64>,
    },

    /// Adapters whose tensors do not stand for one another.
    #[error("adapter {} of those to be averaged has another plan, pooling or head than the first; only adapters of one kind have a mean", index + 1)]
    AverageOfUnlike {
        /// The first that differs, counted from 0.
        index: usize,
    },

    /// A fusion of no adapters.
    #[error("there is no adapter to fuse; name one or more")]
    NothingToFuse,

    /// An adapter that cannot stay as it is while a fusion over it trains.
    #[error(
        "an adapter cannot be fused ({found}); expected bottlenecks on a base that was not tuned, without a batch norm inside, all with the same placement"
    )]
    Unfusable {
        /// What is in the way.
        found: String,
    },

    /// A task that cannot share a batch with others.
    #[error("a task with {found} cannot share a batch with others; run it in batches of its own")]
    WillNotMix {
        /// What stands against it.
        found: &'static str,
    },

    /// A task made for another base.
    #[error(
        "the task was made for a base of {} layers, {} wide, but this base has {} layers and is {} wide",
        task.n_layers, task.d_model, base.n_layers, base.d_model
    )]
    OtherShape {
        /// What the task was made for.
        task: BaseShape,
        /// What it was joined with.
        base: BaseShape,
    },

    /// Metadata that does not fit the head.
    #[error(
        "the metadata describes a head of {described} outputs, but the model's head has {found}"
    )]
    HeadKind {
        /// Outputs of the head kind in the metadata.
        described: usize,
        /// Outputs of the model.
        found: usize,
    },

    /// Labels for more or fewer outputs than a head has.
    #[error(
        "there are {} labels ({}) for a head with {outputs} outputs; give one for each output, in their order",
        labels.len(), labels.join(", ")
    )]
    LabelCount {
        /// What was given.
        labels: Vec<String>,
        /// Outputs of the head.
        outputs: usize,
    },

    /// Labels for a head that gives a score.
    #[error(
        "the head has one output, which is a score and no class, but the labels {} were given; leave them out",
        labels.join(", ")
    )]
    LabelsOfScore {
        /// What was given.
        labels: Vec<String>,
    },

    /// Two classes of one name.
    #[error("the label `{label}` is there twice; every class needs a name of its own")]
    DuplicateLabel {
        /// The name.
        label: String,
    },

    /// A class without a name.
    #[error("a label is empty; every class needs a name")]
    EmptyLabel,

    /// A checkpoint of TensorFlow's that cannot be read.
    #[error("cannot read the checkpoint {}", path.display())]
    Checkpoint {
        /// The checkpoint, as TensorFlow names it.
        path: PathBuf,
        /// What its reader says.
        #[source]
        source: burn_bert::BertError,
    },

    /// A checkpoint without adapters.
    #[error("the checkpoint {} holds no adapters: {name} is missing; it is that of a base, or of another method", path.display())]
    NoAdapters {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor that was looked for.
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

    /// The file system refused a write.
    #[error("cannot write the adapter file {}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },

    /// The file system refused a read.
    #[error("cannot read the adapter file {}", path.display())]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },

    /// Not safetensors, or only a part of it.
    #[error("{} is not a whole safetensors file: it is of another kind, was cut short, or is damaged", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the reader stumbled over.
        #[source]
        source: safetensors::SafeTensorError,
    },

    /// Safetensors, but of somebody else.
    #[error("{} is a safetensors file but not an adapter of ours: its header has no `{key}` entry", path.display())]
    NotAnAdapter {
        /// The file.
        path: PathBuf,
        /// The header key that was expected.
        key: &'static str,
    },

    /// A header that cannot be understood.
    #[error("the adapter file {} has a header that cannot be read", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Where the JSON breaks off the pattern.
        #[source]
        source: serde_json::Error,
    },

    /// Bytes that are not those that were written.
    #[error("the adapter file {} is damaged: the SHA-256 of its {part} is not the one that was written with it; take another copy of the file, or train the adapter again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `header` or `tensors`.
        part: &'static str,
    },

    /// A file from the future or the past.
    #[error("the adapter file {} has format version {found}, expected {expected} or lower; use the release that wrote it", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// The highest version that this crate reads, which is the one it writes.
        expected: u32,
    },

    /// A header that asks for something no base can have.
    #[error("the adapter file {} describes something that cannot be built on this base", path.display())]
    Unbuildable {
        /// The file.
        path: PathBuf,
        /// What is wrong with the plan.
        #[source]
        source: Box<AdapterError>,
    },

    /// An adapter meets a base it was not trained on.
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

    /// An adapter meets a tokenizer it was not trained with.
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

    /// The tensors are not those the plan asks for.
    #[error("the tensors of the adapter file {} are not those its plan asks for:{problems}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        problems: TensorProblems,
    },

    /// Weights that are no numbers.
    #[error("the adapter file {} holds NaN or infinite weights in {}", path.display(), tensors.join(", "))]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Names of the tensors.
        tensors: Vec<String>,
    },

    /// A model, or what is said about it, that is not to be saved.
    #[error("{what} is NaN or infinite, expected finite numbers; {} was not written", path.display())]
    WillNotSave {
        /// The file that was to be written.
        path: PathBuf,
        /// What is not finite.
        what: String,
    },

    /// The loaded model computes something else than the saved one did.
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

    /// JSON of somebody else's that is none, or has another form.
    #[error("{} is not the JSON that is expected there", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where the JSON breaks off the pattern.
        #[source]
        source: serde_json::Error,
    },

    /// A directory of `save_adapter_fusion`.
    #[error("{} is that of a fusion over adapters, which is not read; import the adapters and fuse them with `--fuse`", path.display())]
    IsFusion {
        /// The settings of the fusion.
        path: PathBuf,
    },

    /// A setting that cannot be honored.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Name of the setting.
        key: String,
        /// Its value, as JSON.
        found: String,
        /// What would be understood.
        expected: String,
    },

    /// A directory without what its format has.
    #[error("{} holds none of {expected}", directory.display())]
    NoFile {
        /// The directory.
        directory: PathBuf,
        /// Names of the files that were looked for.
        expected: String,
    },

    /// Tensors that cannot be read.
    #[error("{} cannot be read as a file of tensors: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the reader stumbled over.
        reason: String,
    },

    /// A directory with an adapter but no head.
    #[error("{} holds no head that gives the adapter's answers; name the labels to start an untrained one", directory.display())]
    NoHead {
        /// The directory.
        directory: PathBuf,
    },

    /// Something that a format of somebody else's has no place for.
    #[error("{format} has no place for {what}; {remedy}")]
    NoPlace {
        /// Name of the format.
        format: &'static str,
        /// What cannot be written.
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

/// What a task must know of a base to fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseShape {
    /// How many layers.
    pub n_layers: usize,
    /// Width of the hidden states.
    pub d_model: usize,
}

/// All tensors that are not as they should be.
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
    /// Whether there is no problem at all.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.wrong.is_empty()
    }
}

/// How many tensors of a kind an error names.
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
