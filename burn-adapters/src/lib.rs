#![doc = include_str!("../README.md")]

pub mod adapted;
pub mod bottleneck;
pub mod bottleneck_plan;
pub mod compose;
pub mod error;
pub mod file;
mod gate;
pub mod head;
pub mod ia3;
pub mod init;
pub mod inner_norm;
pub mod layers;
pub mod lora;
mod merge;
pub mod method;
pub mod norm;
pub mod plan;
pub mod prefix;
pub mod projections;
pub mod site_adapter;
pub mod task_adapter;
pub mod trainable;

pub use adapted::AdaptedBert;
pub use bottleneck::{Activation, Bottleneck, BottleneckConfig, MAX_DEPTH};
pub use bottleneck_plan::{
    BottleneckPlan, Closing, Combine, OuterNorm, Placement, ResidualSource, Scaling, Sites,
};
pub use compose::ablated_layers::{AblatedLayers, ablate_spans};
pub use compose::adapter_drop::AdapterDrop;
pub use compose::average::{Average, average_weights};
pub use compose::fusion::{Fusion, fuse};
pub use compose::mixed_batch::{MixedBatch, StackedTasks};
pub use compose::stack::Stack;
pub use error::{AdapterError, BaseShape};
pub use head::{
    Head, HeadConfig, HeadKind, HeadOutput, Pooling, Targets, classification_loss, regression_loss,
    span_loss,
};
pub use ia3::{Ia3, Ia3Plan};
pub use inner_norm::{INNER_NORM_EPSILON, InnerNorm};
pub use layers::Layers;
pub use lora::{Lora, LoraConfig, LoraPlan, RankScaling};
pub use method::Method;
pub use plan::{Plan, TrainableBase};
pub use prefix::{LayerPrefix, PrefixConfig, PrefixGate, PrefixPlan, PrefixSource};
pub use projections::Projections;
pub use site_adapter::SiteAdapter;
pub use task_adapter::{TaskAdapter, TaskAdapterConfig};
pub use trainable::{Group, TrainableParameter, TrainableRow, TrainableTable};
