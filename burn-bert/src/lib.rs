#![doc = include_str!("../README.md")]

pub mod model;
pub mod insertion;
pub mod encoder;
pub mod residual;
pub mod attention;
pub mod feed_forward;
pub mod embeddings;
pub mod pooler;
pub mod config;
pub mod checkpoint;
pub mod error;

pub use checkpoint::{load, load_weights};
pub use config::{BertConfig, HiddenActivation};
pub use error::{BertError, TensorProblem};
pub use insertion::{Insertions, Projection, Site};
pub use model::{Bert, BertInput};
