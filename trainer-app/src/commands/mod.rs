//! One job each, readable alone.

pub mod ablate;
pub mod adapter;
pub mod adapter_task;
pub mod bank;
pub mod bench;
pub mod data;
pub mod evaluate;
pub mod inference;
pub mod inspect;
pub mod predict;
pub mod report;
pub mod submission;
pub mod sweep;
mod texts;
pub mod train;
