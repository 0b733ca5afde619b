#![doc = include_str!("../README.md")]

pub mod task;
pub mod tasks;
pub mod table_file;
pub mod tokens;
pub mod batch;
pub mod order;
pub mod metric;
pub mod baseline;
pub mod submission;
pub mod seed;
pub mod error;

pub use batch::{Batch, PadToLongest, Targets};
pub use error::DataError;
pub use metric::Metric;
pub use seed::derive_seed;
pub use task::{Example, Label, Labels, Prediction, Split, Task, TaskSpec};
pub use tokens::{Encoded, EncodedRows, TextEncoder};
