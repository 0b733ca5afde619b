//! A base model with a task on it: what is inserted, the head, the trainable parameters, and merging.

pub(crate) mod adapted;
mod classifier;
mod config;
pub(crate) mod fusion;
pub(crate) mod head;
pub(crate) mod layer;
pub(crate) mod losses;
mod merge;
pub(crate) mod norm;
pub(crate) mod site;
pub(crate) mod task_adapter;
pub(crate) mod trainable;
mod trained_paths;
pub(crate) mod weights;

pub use adapted::AdaptedBert;
pub use classifier::ClassifierHead;
pub use config::TaskAdapterConfig;
pub use fusion::{FusedAdapter, Fusion, LayerFusion, SiteFusion};
pub use head::{Head, HeadConfig, HeadKind, HeadNorm, Pooling, first_token, mean_of_tokens};
pub use layer::LayerAdapter;
pub use losses::{
    HeadOutput, LossConfig, Targets, classification_loss, multi_label_loss, regression_loss,
    span_loss, token_classification_loss, weighted_classification_loss,
};
pub use norm::task_norm;
pub use site::SiteAdapter;
pub use task_adapter::TaskAdapter;
pub use trainable::{Group, TrainableParameter, TrainableRow, TrainableTable};
