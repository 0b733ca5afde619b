#![doc = include_str!("../README.md")]

pub mod adapted;
pub mod bottleneck;
pub mod compose;
pub mod error;
pub mod file;
pub mod head;
pub mod init;
pub mod inner_norm;
pub mod layers;
pub mod norm;
pub mod plan;
pub mod task_adapter;
pub mod trained;

pub use adapted::AdaptedBert;
pub use bottleneck::{Activation, Bottleneck, BottleneckConfig, MAX_DEPTH};
pub use compose::average::{Average, average_weights};
pub use compose::dropped::Dropped;
pub use compose::fusion::{Fusion, fuse};
pub use compose::stack::Stack;
pub use compose::without::{Without, ablate_spans};
pub use error::AdapterError;
pub use head::{
    Head, HeadConfig, HeadKind, Pooling, classification_loss, regression_loss, span_loss,
};
pub use inner_norm::InnerNorm;
pub use layers::Layers;
pub use plan::{BottleneckPlan, Combine, Method, Placement, Plan, Sites, Tuned};
pub use task_adapter::{TaskAdapter, TaskAdapterConfig};
pub use trained::{Group, TrainedParameter, TrainedRow, TrainedTable};
