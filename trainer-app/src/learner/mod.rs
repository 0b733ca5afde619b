//! Training: the model as a learner, the training loop, optimizers, schedule, checkpoints, and the display of a run.

pub mod backward;
pub mod bert_adam;
pub mod checkpoint;
pub mod clip;
pub mod error;
pub mod log_renderer;
pub mod loss;
pub mod loss_scale;
pub mod memory;
pub mod metrics;
pub mod metrics_file;
pub mod optimizer;
pub mod progress;
pub mod progress_bar_renderer;
pub mod run_directory;
pub mod schedule;
pub mod step;
pub mod strategy;
