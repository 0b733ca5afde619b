//! The settings of the loop, and its result.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use glue_data::TokenizedDataset;

use crate::activation_cache::SplitActivations;
use crate::learner::checkpoint::identity::Identity;
use crate::learner::progress::{EpochReport, Progress};
use crate::learner::run_directory::RunDirectory;
use crate::learner::schedule::Schedule;
use crate::learner::step::TrainableModel;
use crate::task_data::evaluator::Evaluator;
use crate::task_data::tuning::Tuning;

/// Saves a model whose validation score is the best so far.
pub type SaveBest = Box<dyn Fn(&TrainableModel, &EpochReport) -> Result<()> + Send + Sync>;

/// Shows a message to the user.
pub type Notify = Box<dyn Fn(&str) + Send + Sync>;

/// Computes the identity that checkpoints record. It is computed for the first checkpoint, because it waits for the
/// base's fingerprint.
pub type ComputeIdentity = Box<dyn Fn() -> Result<Identity> + Send + Sync>;

/// The settings of the loop.
///
/// The optimizer of burn-train's `Learner` is private, so that a loop cannot save it; here the learner holds the model,
/// and the loop holds the optimizer.
pub struct ResumableLoop {
    /// Training rows.
    pub train: TokenizedDataset,
    /// Validation rows.
    pub validation: TokenizedDataset,
    /// The cached hidden states of both that enter the lowest trained layer, if they are cached.
    pub activations: Option<Arc<SplitActivations>>,
    /// Scores the validation rows.
    pub evaluator: Arc<dyn Evaluator>,
    /// What is chosen on the validation rows.
    pub tuning: Tuning,
    /// The optimizer at the start.
    pub optimizer: ModuleOptimizer,
    /// The progress of the run at the start.
    pub progress: Progress,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Optimizer steps of an epoch.
    pub steps_per_epoch: usize,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Batches of an optimizer step.
    pub accumulate: usize,
    /// Whether only the states between layers are kept for the backward pass.
    pub gradient_checkpointing: bool,
    /// Maximum global norm of the gradients.
    pub clip: f64,
    /// Epochs without a better score after which the run ends.
    pub patience: Option<usize>,
    /// Consecutive epochs with the same prediction for every validation row after which the run ends.
    pub give_up_after: Option<usize>,
    /// The seed from which every random stream is derived.
    pub seed: u64,
    /// Further devices, which compute a share of every batch.
    pub replicas: Vec<Device>,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// The directory of the run.
    pub run: RunDirectory,
    /// Saves a model whose validation score is the best so far.
    pub save_best: SaveBest,
    /// Computes the identity that checkpoints record.
    pub compute_identity: ComputeIdentity,
    /// Shows a message before training starts.
    pub notify: Notify,
    /// Receives the result of the loop, because `fit` can return none.
    pub result: Arc<Mutex<LoopResult>>,
}

/// The result of the loop.
#[derive(Debug, Default)]
pub struct LoopResult {
    /// The progress of the run.
    pub progress: Progress,
    /// Whether training is complete and was not just interrupted.
    pub ended: bool,
    /// Whether training ended because the prediction was the same for every row.
    pub collapsed: bool,
    /// The error that ended training.
    pub error: Option<anyhow::Error>,
}
