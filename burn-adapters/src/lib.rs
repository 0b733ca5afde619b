#![doc = include_str!("../README.md")]

mod compose;
mod error;
pub mod file;
#[cfg(feature = "interchange")]
pub mod interchange;
mod methods;
mod model;
mod named_rng;
#[cfg(feature = "train")]
mod train;

pub use compose::{
    AblatedLayers, AdapterDrop, Average, MixedBatch, Stack, StackedTasks, ablate_spans,
    average_weights, check_mixable, fuse,
};
#[cfg(feature = "interchange")]
pub use error::InterchangeError;
#[cfg(feature = "tensorflow")]
pub use error::TensorflowError;
pub use error::{
    AdapterError, BaseShape, ComposeError, FileError, HeadError, MergeError, TensorProblems,
};
pub use methods::{
    Activation, AdapterPlan, Bottleneck, BottleneckConfig, Combine, Dora, DoraFormula, FinalNorm,
    INNER_NORM_EPSILON, Ia3, Ia3Config, Ia3Target, InnerNorm, LayerPrefix, Layers, Lora,
    LoraConfig, MAX_DEPTH, Method, OuterNorm, Placement, PlanError, PrefixConfig, PrefixGate,
    PrefixSource, Projections, RankScaling, ResidualSource, Scaling, Sites, TrainableBase,
};
pub use model::{
    AdaptedBert, ClassifierHead, FusedAdapter, Fusion, Group, Head, HeadConfig, HeadKind, HeadNorm,
    HeadOutput, LayerAdapter, LayerFusion, LossConfig, Pooling, SiteAdapter, SiteFusion, Targets,
    TaskAdapter, TaskAdapterConfig, TrainableParameter, TrainableRow, TrainableTable,
    classification_loss, first_token, mean_of_tokens, multi_label_loss, regression_loss, span_loss,
    task_norm, token_classification_loss, weighted_classification_loss,
};
pub use named_rng::NamedRng;
#[cfg(feature = "train")]
pub use train::{TrainBatch, TrainBatchOutput};
