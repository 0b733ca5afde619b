//! The errors of this crate: reading files, configurations, weights and inputs.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a BERT could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BertError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file that is larger than any of its kind.
    #[error("{path} has {bytes} bytes, expected at most {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// A configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of the weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The input of a forward pass.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// A configuration that is not one of an encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that is not the JSON of a configuration.
    #[error("{path} is not the configuration of an encoder in Hugging Face's format")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A key with a value of the wrong type.
    #[error("{path} has a value of {key} that cannot be read")]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, by BERT's name.
        key: String,
        /// What was found and expected.
        source: serde_json::Error,
    },
    /// A setting with a value that is not supported.
    #[error("the configuration has {key} {found}, expected {expected}")]
    Value {
        /// The key in `config.json`.
        key: &'static str,
        /// Its value.
        found: String,
        /// The supported values.
        expected: String,
    },
    /// A key of a configuration file with a value that is not supported.
    #[error("{path} has {key} {found}, expected {expected}")]
    FileValue {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The supported values.
        expected: String,
    },
}

/// Files of weights that cannot be loaded into a BERT.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A directory without weights.
    #[error(
        "{directory} holds no weights: expected model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json or bert_model.ckpt.index"
    )]
    None {
        /// The directory.
        directory: PathBuf,
    },
    /// A TensorFlow checkpoint, in a build without the feature `tensorflow`.
    #[error(
        "the weights in {directory} are a TensorFlow checkpoint, which this build does not read; enable the feature `tensorflow` of burn-bert"
    )]
    WithoutTensorflow {
        /// The directory.
        directory: PathBuf,
    },
    /// The index of a sharded checkpoint is not valid JSON.
    #[error("{path} is not the index of a sharded checkpoint")]
    IndexJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An index that names a file outside of its directory.
    #[error("{path} names the file {shard}, expected one in its own directory")]
    Shard {
        /// The index.
        path: PathBuf,
        /// The name in it.
        shard: String,
    },
    /// A file of weights that is damaged or of another kind.
    #[error("{path} is not a complete file of weights ({reason}); download it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error of its reader.
        reason: String,
    },
    /// The tensors in the files do not match the configuration.
    #[error("the weights in {directory} do not match its config.json:{}", list(.problems))]
    Tensors {
        /// The directory.
        directory: PathBuf,
        /// One for each tensor.
        problems: Vec<TensorProblem>,
    },
    /// Weights without the tensors of an encoder.
    #[error(
        "the weights in {directory} contain no encoder of its family: none of their {count} tensors is named {table}; the first are {first}"
    )]
    NoEncoder {
        /// The directory.
        directory: PathBuf,
        /// Number of tensors.
        count: usize,
        /// The name of the table of words in the family.
        table: String,
        /// The names of some.
        first: String,
    },
    /// Weights with several encoders, or an encoder under an unknown prefix.
    #[error(
        "the weights in {directory} hold the tensors of an encoder under {found}, expected one encoder, under no prefix or one of `bert.`, `model.` and `module.`; rename the tensors"
    )]
    Prefix {
        /// The directory.
        directory: PathBuf,
        /// The prefixes.
        found: String,
    },
    /// Weights with another number of layers than the configuration.
    #[error(
        "the weights in {directory} have {found} layers, expected {expected}: num_hidden_layers in the configuration"
    )]
    Layers {
        /// The directory.
        directory: PathBuf,
        /// Layers with tensors.
        found: usize,
        /// Layers in the configuration.
        expected: usize,
    },
    /// Weights that need far more memory than their files have bytes.
    #[error(
        "the weights in {directory} need {needed} bytes of memory, but their files have {bytes} bytes; they are damaged"
    )]
    Expansion {
        /// The directory.
        directory: PathBuf,
        /// Bytes in memory.
        needed: u128,
        /// Bytes of the files.
        bytes: u64,
    },
}

/// An input that a BERT cannot embed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A text of length 0.
    #[error("a text has no tokens, expected at least one")]
    NoTokens,
    /// A token id, position or token type without an embedding.
    #[error("{what} {found} is out of range: the encoder has {count}")]
    OutOfRange {
        /// Token id, position or token type.
        what: &'static str,
        /// The value.
        found: usize,
        /// Number of embeddings.
        count: usize,
    },
}

impl ConfigError {
    /// The error of a setting in a [`BertConfig`](crate::BertConfig).
    pub(crate) fn value(key: &'static str, found: String, expected: &str) -> Self {
        Self::Value { key, found, expected: expected.to_owned() }
    }

    /// The same error with the file of the configuration.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Value { key, found, expected } => {
                Self::FileValue { path: path.to_owned(), key: key.to_owned(), found, expected }
            }
            other => other,
        }
    }
}

/// A problem with one tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// It is missing.
    #[error("{name} {expected:?} is missing")]
    Missing {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape, as in the checkpoint.
        expected: Vec<usize>,
    },
    /// It is not a tensor of the encoder.
    #[error("{name} {found:?} is unexpected")]
    Unexpected {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// It has another shape.
    #[error("{name} is {found:?}, expected {expected:?}")]
    Shape {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape by the configuration.
        expected: Vec<usize>,
    },
    /// A TensorFlow checkpoint has it in another type.
    #[error("{name} is of TensorFlow's number type {found}, expected {expected} (32-bit floats)")]
    Number {
        /// Its name in the checkpoint.
        name: String,
        /// A value of TensorFlow's enumeration `DataType`.
        found: i32,
        /// That of 32-bit floats.
        expected: i32,
    },
    /// Its numbers are not floats.
    #[error("{name} is of type {found}, expected floats (F64, F32, F16 or BF16)")]
    NotFloats {
        /// Its name in the checkpoint.
        name: String,
        /// The type.
        found: String,
    },
    /// A number in it is not finite.
    #[error("{name} holds numbers that are NaN or infinite")]
    NotFinite {
        /// Its name in the checkpoint.
        name: String,
    },
    /// Two names in the checkpoint are those of one parameter.
    #[error("{name} appears twice, once under another name")]
    Duplicate {
        /// Its name in the checkpoint.
        name: String,
    },
}

/// The most problems that an error lists.
const MAX_PROBLEMS: usize = 100;

fn list(problems: &[TensorProblem]) -> String {
    let named = problems.iter().take(MAX_PROBLEMS);
    let mut text = named.fold(String::new(), |mut text, problem| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {problem}");
        text
    });
    if problems.len() > MAX_PROBLEMS {
        let _ = write!(text, "\n  and {} more", problems.len() - MAX_PROBLEMS);
    }
    text
}
