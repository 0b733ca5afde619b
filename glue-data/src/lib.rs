#![doc = include_str!("../README.md")]

pub mod baseline;
mod batch;
pub mod batching;
mod delimited;
pub mod encoding;
mod error;
mod jsonl;
mod label_forms;
mod lines;
pub mod metric;
mod published;
mod rows;
mod seed;
mod submission;
pub mod tabular;
pub mod tagging;
mod task;
mod task_kind;
mod task_spec;
pub mod tasks;
mod tokenized_dataset;
mod tokenizer;
mod tokens;
mod windows;

pub use batch::{Batch, PadToLongest};
pub use error::{DataError, LabelError, PublishedError, SquadError, TableError, TextError};
pub use lines::Lines;
pub use rows::{Example, Row, Split};
pub use seed::derive_seed;
pub use submission::submission;
pub use task::Task;
pub use task_kind::{Label, Targets, TaskKind, argmax};
pub use task_spec::{Layout, Part, Source, TaskSpec, UnsplitCorpus};
pub use tokenized_dataset::{Encoded, TokenizedDataset};
pub use tokenizer::error::{TokenizerError, TokenizerWarning};
pub use tokens::TextEncoder;
