//! The training loop inside burn-train's `SupervisedTraining`. burn-train provides the dashboard, the metrics and the
//! interruption; the order of steps, their random streams and checkpoints are decided here.
//!
//! Every step has a random stream of its own, derived from the seed and the step's number, and the order of the rows is
//! derived from the seed and the epoch. A run that was stopped anywhere therefore resumes bit for bit (on the CPU).

mod replica;
mod steps;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use burn::data::dataloader::Progress as SplitProgress;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use burn::train::checkpoint::CheckpointerError;
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingItem, ValidLoader,
};
use glue_data::batching::{scoring_batches, training_batches};
use glue_data::{Batch, TokenizedDataset};

use super::checkpoint::Checkpoint;
use super::checkpoint::identity::Identity;
use super::error::{Quantity, TrainingError};
use super::progress::{EpochReport, Progress, median};
use super::schedule::Schedule;
use super::step::{LayerInput, StepOutput, TrainableModel, read_output};
use crate::activation_cache::{CachedActivations, SplitActivations};
use crate::artifacts::RunDirectory;
use crate::learner::clip::sum_of_trainable;
use crate::learner::metrics_file::MetricsFile;
use crate::process::keep_workers_spinning;
use crate::task_data::evaluator::{Evaluator, RowOutput};
use crate::task_data::rows;
use replica::Replica;

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

impl SupervisedLearningStrategy<TrainableModel> for ResumableLoop {
    fn fit(
        &self,
        components: TrainingComponents<TrainableModel>,
        learner: Learner<TrainableModel>,
        _train: TrainLoader<TrainableModel>,
        _validation: ValidLoader<TrainableModel>,
        _starting_epoch: usize,
    ) -> (TrainableModel, SupervisedTrainingEventProcessor<TrainableModel>) {
        let model = learner.model();
        let mut state = LoopState {
            setup: self,
            device: model.devices().into_iter().next().unwrap_or_default(),
            replicas: Replica::all(&model, &self.replicas),
            model,
            optimizer: self.optimizer.clone(),
            progress: self.progress.clone(),
            processor: components.event_processor,
            interrupter: components.interrupter,
            metrics: None,
            identity: None,
            started: Instant::now(),
            saved: Instant::now(),
        };
        let end = state.run();
        if let Err(error) = &end {
            // burn-train has an error type of its own; the whole error is in the result.
            state.interrupter.fail(CheckpointerError::Unknown(format!("{error:#}")));
        }
        let result = LoopResult {
            progress: state.progress,
            ended: matches!(end, Ok(StopReason::Finished | StopReason::Collapsed)),
            collapsed: matches!(end, Ok(StopReason::Collapsed)),
            error: end.err(),
        };
        // The lock cannot be poisoned by a partial write: the result is written only here.
        *self.result.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = result;
        (state.model, state.processor)
    }
}

/// Why the loop ended.
enum StopReason {
    /// All epochs are done, or as many as patience allows.
    Finished,
    /// The prediction was the same for every row, epoch after epoch.
    Collapsed,
    /// The run was interrupted.
    Stopped,
}

/// The state of the loop.
struct LoopState<'a> {
    setup: &'a ResumableLoop,
    model: TrainableModel,
    optimizer: ModuleOptimizer,
    progress: Progress,
    processor: SupervisedTrainingEventProcessor<TrainableModel>,
    interrupter: Interrupter,
    metrics: Option<MetricsFile>,
    identity: Option<Identity>,
    device: Device,
    replicas: Vec<Replica>,
    started: Instant,
    saved: Instant,
}

impl LoopState<'_> {
    fn run(&mut self) -> Result<StopReason> {
        let (metrics, warning) = MetricsFile::open(&self.setup.run.metrics(), &self.progress)?;
        self.metrics = Some(metrics);
        if let Some(warning) = warning {
            (self.setup.notify)(&warning);
        }
        let mut done = self.steps_into_epoch()?;
        // The previous process may have ended between a checkpoint and saving the adapter of its epoch.
        if done == 0 {
            self.save_if_best()?;
        }
        while self.progress.epochs.len() < self.setup.epochs {
            if let Some(end) = self.early_stop_reason() {
                return Ok(end);
            }
            let epoch = self.progress.epochs.len() + 1;
            let seconds_per_step = self.train_epoch(epoch, done)?;
            if self.interrupter.should_stop() {
                return self.stop();
            }
            let Some(report) = self.validate(epoch, seconds_per_step)? else {
                return self.stop();
            };
            self.progress.loss_sum = 0.0;
            self.progress.epochs.push(report.clone());
            done = self.steps_into_epoch()?;
            self.metrics()?.epoch(&report)?;
            // The checkpoint is first: it records the epoch of which the adapter has to be.
            self.save()?;
            self.save_if_best()?;
            self.event(LearnerEvent::EndEpoch(epoch));
        }
        Ok(self.early_stop_reason().unwrap_or(StopReason::Finished))
    }

    /// Saves and stops, after an interruption by the user or by an error of the renderer.
    fn stop(&mut self) -> Result<StopReason> {
        self.save()?;
        match self.interrupter.error() {
            Some(error) => bail!("the display of the run failed: {error}"),
            None => Ok(StopReason::Stopped),
        }
    }

    fn steps_into_epoch(&self) -> Result<usize> {
        Ok(self.progress.steps_into_epoch(self.setup.steps_per_epoch, self.setup.epochs)?)
    }

    /// Saves the model if the last epoch is the best.
    fn save_if_best(&self) -> Result<()> {
        match self.progress.epochs.last() {
            Some(last) if self.progress.best() == Some(last) => {
                (self.setup.save_best)(&self.model, last)
            }
            _ => Ok(()),
        }
    }

    /// The reason to end training before the last epoch, if there is one.
    fn early_stop_reason(&self) -> Option<StopReason> {
        let reached = |limit: Option<usize>, epochs| limit.is_some_and(|limit| epochs >= limit);
        if reached(self.setup.give_up_after, self.progress.epochs_with_single_class()) {
            return Some(StopReason::Collapsed);
        }
        reached(self.setup.patience, self.progress.epochs_without_improvement())
            .then_some(StopReason::Finished)
    }

    /// Trains the rest of an epoch of which `done` steps are done; the median duration of the steps in seconds.
    fn train_epoch(&mut self, epoch: usize, done: usize) -> Result<f64> {
        let setup = self.setup;
        let batches = training_batches(&setup.train.lengths(), setup.batch_size, setup.seed, epoch);
        let total_items = setup.steps_per_epoch;
        self.event(LearnerEvent::StartSplit { epoch_number: epoch, total_items });
        let mut seconds = Vec::new();
        for (index, batches) in
            batches.chunks(setup.accumulate).take(setup.steps_per_epoch).enumerate().skip(done)
        {
            let step = self.step(batches)?;
            seconds.extend(step.seconds);
            let items = SplitProgress::new(index + 1, total_items, Some("steps".to_owned()));
            let number = self.progress.steps;
            let rate = setup.schedule.at(number - 1);
            self.metrics()?.step(epoch, number, rate, &step)?;
            let item = TrainingItem::new(step, items, Some(number), Some(rate.into()));
            self.event(LearnerEvent::ProcessedItem(item));
            if self.saved.elapsed() >= setup.checkpoint_every {
                self.save()?;
            }
            if self.interrupter.should_stop() {
                break;
            }
        }
        self.event(LearnerEvent::EndSplit(epoch));
        Ok(median(seconds))
    }

    /// Scores the validation rows; `None` if the run was interrupted.
    fn validate(&mut self, epoch: usize, seconds_per_step: f64) -> Result<Option<EpochReport>> {
        let setup = self.setup;
        let model = self.model.valid();
        let device = self.device.clone().inner();
        let batches = scoring_batches(&setup.validation.lengths(), setup.batch_size);
        let total_items = batches.len();
        self.validation_event(LearnerEvent::StartSplit { epoch_number: epoch, total_items });
        let mut outputs = vec![None; setup.validation.rows().len()];
        let mut loss_sum = 0.0;
        for (index, indices) in batches.iter().enumerate() {
            let _spinning = keep_workers_spinning(&device);
            let batch = rows::batch(&setup.validation, indices, &device);
            let cached = setup.activations.as_ref().map(|activations| &activations.validation);
            let output = model.forward_from(layer_input(cached, indices, &batch)?, &batch);
            let output = read_output(output, &batch.labels);
            loss_sum += output.loss * indices.len() as f64;
            for (index, row) in indices.iter().zip(&output.rows) {
                outputs[*index] = Some(row.clone());
            }
            let items = SplitProgress::new(index + 1, total_items, Some("batches".to_owned()));
            self.validation_event(LearnerEvent::ProcessedItem(TrainingItem::new(
                output,
                items,
                Some(index + 1),
                None,
            )));
            if self.interrupter.should_stop() {
                return Ok(None);
            }
        }
        self.validation_event(LearnerEvent::EndSplit(epoch));
        // Every row is in one batch.
        let outputs: Vec<RowOutput> = outputs.into_iter().flatten().collect();
        let validation_loss = loss_sum / outputs.len() as f64;
        self.ensure_finite(Quantity::ValidationLoss, validation_loss)?;
        let mut logits = outputs.iter().flat_map(|row| &row.logits);
        if let Some(logit) = logits.find(|logit| !logit.is_finite()) {
            self.ensure_finite(Quantity::ValidationLogit, f64::from(*logit))?;
        }
        let scores = setup.evaluator.scores(&outputs).context("no validation row has a label")?;
        let main = scores.get(setup.evaluator.metric()).and_then(serde_json::Value::as_f64);
        // JSON has no NaN: a score that is not finite is `null`.
        let score = main.unwrap_or(f64::NAN);
        self.ensure_finite(Quantity::ValidationScore, score)?;
        Ok(Some(EpochReport {
            epoch,
            train_loss: self.progress.loss_sum / setup.steps_per_epoch as f64,
            validation_loss,
            score,
            scores,
            single_class: setup.evaluator.predicts_single_class(&outputs),
            seconds_per_step,
        }))
    }

    fn ensure_finite(&self, what: Quantity, value: f64) -> Result<(), TrainingError> {
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

    fn save(&mut self) -> Result<()> {
        self.progress.seconds += self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        // Weights are checked here and not at every step: if they are not finite, neither is the next loss.
        self.ensure_finite(Quantity::Weight, sum_of_trainable(&self.model))?;
        self.metrics()?.sync()?;
        let identity = match self.identity.take() {
            Some(identity) => identity,
            None => (self.setup.compute_identity)()?,
        };
        let checkpoints = self.setup.run.checkpoints();
        Checkpoint::save(&checkpoints, &self.progress, &identity, &self.model, &self.optimizer)?;
        self.identity = Some(identity);
        self.saved = Instant::now();
        Ok(())
    }

    fn metrics(&mut self) -> Result<&mut MetricsFile> {
        self.metrics.as_mut().context("the metrics file is not open")
    }

    fn event(&mut self, event: LearnerEvent<StepOutput>) {
        self.interrupter.fail_on_error(self.processor.process_train(event));
    }

    fn validation_event(&mut self, event: LearnerEvent<StepOutput>) {
        self.interrupter.fail_on_error(self.processor.process_valid(event));
    }
}

/// The cached hidden states of rows, if they are cached.
fn layer_input(
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
