#![doc = include_str!("../README.md")]

pub mod adapted;
pub mod bottleneck;
pub mod bottleneck_plan;
pub mod compose;
pub mod error;
pub mod file;
mod gate;
pub mod head;
pub mod init;
pub mod inner_norm;
pub mod layers;
pub mod low_rank;
mod merge;
pub mod method;
pub mod norm;
pub mod plan;
pub mod prefix;
pub mod projections;
pub mod scale;
pub mod site_adapter;
pub mod task_adapter;
pub mod trained;

pub use adapted::AdaptedBert;
pub use bottleneck::{Activation, Bottleneck, BottleneckConfig, MAX_DEPTH};
pub use bottleneck_plan::{
    BottleneckPlan, Closing, Combine, OuterNorm, Placement, Scaling, Sites, Skip,
};
pub use compose::average::{Average, average_weights};
pub use compose::dropped::Dropped;
pub use compose::fusion::{Fusion, fuse};
pub use compose::per_row::{PerRow, TaskSet};
pub use compose::stack::Stack;
pub use compose::without::{Without, ablate_spans};
pub use error::{AdapterError, BaseShape};
pub use head::{
    Head, HeadConfig, HeadKind, Pooling, classification_loss, regression_loss, span_loss,
};
pub use inner_norm::{INNER_NORM_EPSILON, InnerNorm};
pub use layers::Layers;
pub use low_rank::{LowRank, LowRankConfig, LowRankPlan, RankScaling};
pub use method::Method;
pub use plan::{Plan, Tuned};
pub use prefix::{LayerPrefix, PrefixConfig, PrefixGate, PrefixPlan, PrefixSource};
pub use projections::Projections;
pub use scale::{Scale, ScalePlan};
pub use site_adapter::SiteAdapter;
pub use task_adapter::{TaskAdapter, TaskAdapterConfig};
pub use trained::{Group, TrainedParameter, TrainedRow, TrainedTable};
