//! Adapter methods.
//!
//! Each kind of module has a folder with its configuration, its Burn module and how it merges into the base's weights.
//! An [`AdapterPlan`] combines kinds; a [`Method`] is a plan with a name.
//!
//! A new kind needs a folder here, one row in `plan.rs`, and its field in `LayerAdapter`.

mod activation;
pub(crate) mod bottleneck;
pub(crate) mod error;
mod gate;
pub(crate) mod ia3;
pub(crate) mod kind;
pub(crate) mod layers;
pub(crate) mod lora;
pub(crate) mod method;
pub(crate) mod plan;
pub(crate) mod prefix;
pub(crate) mod projections;

pub use activation::Activation;
pub use bottleneck::{
    Bottleneck, BottleneckConfig, Combine, FinalNorm, INNER_NORM_EPSILON, InnerNorm, MAX_DEPTH,
    OuterNorm, Placement, ResidualSource, Scaling, Sites,
};
pub use error::PlanError;
pub use ia3::{Ia3, Ia3Config, Ia3Target};
pub use layers::Layers;
pub use lora::{Dora, DoraFormula, Lora, LoraConfig, RankScaling};
pub use method::Method;
pub use plan::{AdapterPlan, TrainableBase};
pub use prefix::{LayerPrefix, PrefixConfig, PrefixGate, PrefixSource};
pub use projections::Projections;
