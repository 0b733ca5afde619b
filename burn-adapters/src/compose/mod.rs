//! Insertions made of several tasks, and of parts of one: stacked, averaged, fused, another task for each row of a
//! batch, and tasks without their modules in some layers.

mod ablated_layers;
mod adapter_drop;
mod average;
mod fuse;
mod mixed_batch;
mod stack;
mod stacked_weights;

pub use ablated_layers::{AblatedLayers, ablate_spans};
pub use adapter_drop::AdapterDrop;
pub use average::{Average, average_weights};
pub use fuse::fuse;
pub use mixed_batch::{MixedBatch, StackedTasks, check_mixable};
pub use stack::Stack;
