//! How a task is trained: steps, the loop around them, optimizer, schedule, and what the dashboard shows.

pub mod step;
pub mod strategy;
pub mod checkpoint;
pub mod optimizer;
pub mod bert_adam;
pub mod clip;
pub mod schedule;
pub mod metrics;
pub mod memory;
pub mod plain_lines;
