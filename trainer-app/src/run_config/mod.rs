//! The configuration of a run: written beside every result as `config.toml`, and enough to repeat it.
//!
//! Each section is a file, whose fields are the keys of `config.toml` and the flags of `trainer train`; the default
//! values are in `defaults`, and the checks in `check`.

pub(crate) mod adapter_path;
mod check;
mod defaults;
mod fields;
mod file;
pub mod limits;
mod model;
mod run;
mod task;
mod training;

pub(crate) use defaults::{TOKEN_POOLING, needs_base};
pub(crate) use fields::fields;
pub use model::{HeadNormKind, ModelConfig};
pub use run::RunConfig;
pub(crate) use task::label_columns;
pub use task::{CustomTaskConfig, Prediction, TaggedTaskConfig, TaskConfig};
pub use training::{
    ActivationCacheMode, Decay, OptimizerKind, Thresholds, TrainingConfig, Weighting,
};
