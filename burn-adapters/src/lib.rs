#![doc = include_str!("../README.md")]

pub mod adapted;
pub mod bottleneck;
pub mod error;
pub mod file;
pub mod head;
pub mod init;
pub mod norm;
pub mod plan;
pub mod task_adapter;
pub mod trained;

pub use adapted::AdaptedBert;
pub use bottleneck::{Activation, Bottleneck, BottleneckConfig};
pub use error::AdapterError;
pub use head::{
    Head, HeadConfig, HeadKind, Pooling, classification_loss, regression_loss, span_loss,
};
pub use plan::{BottleneckPlan, Layers, Method, Placement, Plan, Sites, Tuned};
pub use task_adapter::{TaskAdapter, TaskAdapterConfig};
pub use trained::{Group, TrainedParameter, TrainedRow, TrainedTable};
