//! The state of the loop, which its steps and epochs change.

use std::time::Instant;

use anyhow::Result;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use burn::train::{Interrupter, SupervisedTrainingEventProcessor};
use glue_data::Batch;

use super::replica::Replica;
use super::settings::ResumableLoop;
use crate::activation_cache::CachedActivations;
use crate::learner::checkpoint::identity::Identity;
use crate::learner::error::{Quantity, TrainingError};
use crate::learner::metrics_file::MetricsFile;
use crate::learner::progress::Progress;
use crate::learner::step::{LayerInput, TrainableModel};

/// The state of the loop.
pub(super) struct LoopState<'a> {
    pub(super) setup: &'a ResumableLoop,
    pub(super) model: TrainableModel,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) progress: Progress,
    pub(super) processor: SupervisedTrainingEventProcessor<TrainableModel>,
    pub(super) interrupter: Interrupter,
    pub(super) metrics: Option<MetricsFile>,
    pub(super) identity: Option<Identity>,
    pub(super) device: Device,
    pub(super) replicas: Vec<Replica>,
    pub(super) started: Instant,
    pub(super) saved: Instant,
}

impl LoopState<'_> {
    pub(super) fn ensure_finite(&self, what: Quantity, value: f64) -> Result<(), TrainingError> {
        if value.is_finite() {
            return Ok(());
        }
        // A step is counted after the optimizer has taken it.
        let is_in_step = matches!(what, Quantity::TrainingLoss | Quantity::GradientNorm);
        Err(TrainingError::NotFinite {
            what,
            value,
            epoch: self.progress.epochs.len() + 1,
            step: self.progress.steps + usize::from(is_in_step),
            learning_rate: self.setup.schedule.peak,
        })
    }
}

/// The cached hidden states of rows, if they are cached.
pub(super) fn layer_input(
    cached: Option<&CachedActivations>,
    rows: &[usize],
    batch: &Batch,
) -> Result<Option<LayerInput>> {
    let [_, sequence] = batch.input_ids.dims();
    let layer_input = |cached: &CachedActivations| {
        let hidden = cached.batch(rows, sequence, &batch.input_ids.device())?;
        Ok(LayerInput { layer: cached.layer(), hidden })
    };
    cached.map(layer_input).transpose()
}
