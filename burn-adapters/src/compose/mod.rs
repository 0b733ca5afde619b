//! Insertions made of tasks: one after the other, averaged, fused, of another task for each row, or with some
//! layers left out.

pub mod ablated_layers;
pub mod adapter_drop;
pub mod average;
pub mod fusion;
pub mod mixed_batch;
pub mod stack;
mod stacked;
