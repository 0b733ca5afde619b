#![doc = include_str!("../README.md")]

pub mod baseline;
pub mod batch;
pub mod batching;
mod delimited;
pub mod encoding;
pub mod error;
mod jsonl;
mod label_forms;
pub mod metric;
pub mod seed;
pub mod submission;
pub mod tabular;
pub mod task;
pub mod tasks;
mod tokenizer;
pub mod tokens;
pub mod unsplit_corpus;

pub use batch::{Batch, PadToLongest, Targets};
pub use error::DataError;
pub use metric::Metric;
pub use seed::derive_seed;
pub use task::{Example, Label, Labels, Prediction, Split, Task, TaskSpec, argmax};
pub use tokenizer::error::{TokenizerError, TokenizerWarning};
pub use tokens::{Encoded, TextEncoder, TokenizedDataset};
