//! How a task is trained: steps, the loop around them, optimizer, schedule, and what the dashboard shows.

pub mod backward;
pub mod bert_adam;
pub mod checkpoint;
pub mod clip;
pub mod error;
pub mod log_renderer;
pub mod loss_scale;
pub mod memory;
pub mod metrics;
pub mod metrics_file;
pub mod optimizer;
pub mod progress;
pub mod progress_bar_renderer;
pub mod schedule;
pub mod step;
pub mod strategy;
