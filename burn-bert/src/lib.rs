#![doc = include_str!("../README.md")]

pub mod attention;
pub mod checkpoint;
pub mod config;
mod config_file;
pub mod embeddings;
pub mod encoder;
pub mod error;
pub mod feed_forward;
pub mod insertion;
pub mod model;
pub mod pooler;
pub mod precision;
mod projection;
pub mod residual;

pub use checkpoint::{load, load_weights};
pub use config::{BertConfig, HiddenActivation};
pub use error::{BertError, TensorProblem};
pub use insertion::{Insertions, Prefix, Projection, Site};
pub use model::{Bert, BertInput};
pub use precision::Precision;
