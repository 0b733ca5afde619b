//! What can go wrong when a BERT is read, said in sentences.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a BERT could not be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BertError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// `config.json` is not what it should be.
    #[error("{path} is not a BERT configuration in Hugging Face's form")]
    ConfigJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The index of a sharded checkpoint is not what it should be.
    #[error("{path} is not the index of a sharded checkpoint")]
    IndexJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An index that names something else than a file beside it.
    #[error("{path} names the file {shard}, expected one in its own directory")]
    Shard {
        /// The index.
        path: PathBuf,
        /// What it names.
        shard: String,
    },
    /// A configuration that describes something else than a BERT.
    #[error("the configuration has {key} {found}, expected {expected}")]
    Config {
        /// The key in `config.json`.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A key of a configuration file with a value that is not supported.
    #[error("{path} has {key} {found}, expected {expected}")]
    ConfigKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A file that is larger than any of its kind.
    #[error("{path} has {bytes} bytes, expected at most {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// A directory without weights.
    #[error(
        "{directory} holds no weights: expected model.safetensors, model.safetensors.index.json, pytorch_model.bin or bert_model.ckpt.index"
    )]
    NoWeights {
        /// The directory.
        directory: PathBuf,
    },
    /// A file of weights that is damaged or of another kind.
    #[error("{path} is not a whole file of weights ({reason}); fetch it again")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What its reader says.
        reason: String,
    },
    /// The tensors in the files are not those of the configuration.
    #[error("the weights in {directory} are not those of its config.json:{}", list(.problems))]
    Tensors {
        /// The directory.
        directory: PathBuf,
        /// One for each tensor.
        problems: Vec<TensorProblem>,
    },
    /// Weights without the tensors of a BERT.
    #[error(
        "the weights in {directory} hold no BERT: none of their {count} tensors is named embeddings.word_embeddings.weight; the first are {first}"
    )]
    NoEncoder {
        /// The directory.
        directory: PathBuf,
        /// How many tensors there are.
        count: usize,
        /// The names of some.
        first: String,
    },
    /// Weights with encoders under other names than BERT's.
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
        "the weights in {directory} hold {found} layers, expected {expected}: num_hidden_layers in its configuration"
    )]
    Layers {
        /// The directory.
        directory: PathBuf,
        /// Layers of which there are tensors.
        found: usize,
        /// Layers in the configuration.
        expected: usize,
    },
    /// Weights that would take far more memory than their files have bytes.
    #[error(
        "the weights in {directory} would take {numbers} bytes, though their files have {bytes}; they are damaged"
    )]
    Expansion {
        /// The directory.
        directory: PathBuf,
        /// Bytes in memory.
        numbers: u128,
        /// Bytes of the files.
        bytes: u64,
    },
    /// A text of length 0.
    #[error("a text has no tokens, expected at least one")]
    NoTokens,
    /// An input that BERT has no embedding for.
    #[error("{what} {found} is out of range: this BERT has {count}")]
    Input {
        /// Token id, position or token type.
        what: &'static str,
        /// The value.
        found: usize,
        /// How many there are.
        count: usize,
    },
}

impl BertError {
    /// The same about the file that a configuration was read from.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Config { key, found, expected } => {
                Self::ConfigKey { path: path.to_owned(), key: key.to_owned(), found, expected }
            }
            other => other,
        }
    }
}

/// What is wrong with one tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// It is not there.
    #[error("{name} {expected:?} is missing")]
    Missing {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape, as in the checkpoint.
        expected: Vec<usize>,
    },
    /// It is there, and nothing wants it.
    #[error("{name} {found:?} is left over")]
    LeftOver {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// Its shape is another.
    #[error("{name} is {found:?}, expected {expected:?}")]
    Shape {
        /// Its name in the checkpoint.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What the configuration asks for.
        expected: Vec<usize>,
    },
    /// Its numbers are of another type.
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
    /// Two tensors stand for one.
    #[error("{name} is there twice, once under another spelling")]
    Twice {
        /// Its name in the checkpoint.
        name: String,
    },
}

/// How many problems an error names.
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
