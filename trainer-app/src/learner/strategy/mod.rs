//! The training loop inside burn-train's `SupervisedTraining`: burn-train keeps the dashboard, the metrics and the
//! interruption; the order of steps, their random streams and what is saved are decided here.
//!
//! Every step draws from a stream named by the seed and the step's number, and the order of the rows from one named
//! by the seed and the epoch. So a run that was stopped anywhere goes on to the same bits (on the CPU).

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

use super::checkpoint::identity::Identity;
use super::checkpoint::{Checkpoint, EpochReport, Progress};
use super::error::{Quantity, TrainingError};
use super::schedule::Schedule;
use super::step::{LayerInput, ScoredRow, StepOutput, TrainableModel};
use crate::activation_cache::{CachedActivations, TaskActivations};
use crate::artifacts::RunDirectory;
use crate::learner::metrics_file::MetricsFile;
use crate::process::keep_workers_spinning;
use crate::task_data::evaluator::Evaluator;
use crate::task_data::rows;
use replica::Replica;
use steps::sum_of_trained;

/// Writes down a model whose validation score is the best so far.
pub type SaveBest = Box<dyn Fn(&TrainableModel, &EpochReport) -> Result<()> + Send + Sync>;

/// Shows a sentence to the user.
pub type ReportNote = Box<dyn Fn(&str) + Send + Sync>;

/// What checkpoints belong to; asked for by the first, since it waits for the base's fingerprint.
pub type ComputeIdentity = Box<dyn Fn() -> Result<Identity> + Send + Sync>;

/// The loop, and all that it needs beyond what burn-train hands it.
///
/// Burn's own `Learner` keeps its optimizer to itself, so that a loop cannot save it; here the learner brings the model
/// in and the optimizer stays with the loop.
pub struct ResumableLoop {
    /// Rows to learn from.
    pub train: TokenizedDataset,
    /// Rows to choose by.
    pub validation: TokenizedDataset,
    /// The states of both that enter the lowest tuned layer, where they are kept.
    pub frozen: Option<Arc<TaskActivations>>,
    /// How the validation rows are judged.
    pub evaluator: Arc<Evaluator>,
    /// The optimizer at the start.
    pub optimizer: ModuleOptimizer,
    /// How far the run is at the start.
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
    /// Whether only the states between layers are kept for going back.
    pub gradient_checkpointing: bool,
    /// Largest global norm of the gradients.
    pub clip: f64,
    /// Epochs without a better score before the run stops.
    pub patience: Option<usize>,
    /// Epochs in a row with one answer for every validation row after which the run is given up.
    pub give_up_after: Option<usize>,
    /// Names every random stream.
    pub seed: u64,
    /// Devices beside the model's own that take their share of every batch.
    pub replicas: Vec<Device>,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// Where everything is saved.
    pub run: RunDirectory,
    /// Keeps a model whose validation score is the best so far.
    pub keep: SaveBest,
    /// What checkpoints belong to.
    pub identify: ComputeIdentity,
    /// What is said before the metrics: lines of a sentence each.
    pub say: ReportNote,
    /// Where the loop leaves what came out.
    pub outcome: Arc<Mutex<Outcome>>,
}

/// What came out of the loop.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// Whether it came to an end, and was not merely stopped.
    pub ended: bool,
    /// Whether it was given up because it gave every row the same answer.
    pub collapsed: bool,
    /// What ended it before its time.
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
        let mut running = LoopState {
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
        let end = running.run_to_the_end();
        if let Err(error) = &end {
            // burn-train wants an error of its own kind; the whole one goes through the outcome.
            running.interrupter.fail(CheckpointerError::Unknown(format!("{error:#}")));
        }
        let outcome = Outcome {
            progress: running.progress,
            ended: matches!(end, Ok(StopReason::Finished | StopReason::Collapsed)),
            collapsed: matches!(end, Ok(StopReason::Collapsed)),
            error: end.err(),
        };
        // A panic elsewhere cannot have left the outcome half written: it is written once, here.
        *self.outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = outcome;
        (running.model, running.processor)
    }
}

/// How the loop came to its end.
enum StopReason {
    /// All epochs, or as many as patience allows.
    Finished,
    /// Given up: one answer for every row, epoch after epoch.
    Collapsed,
    /// Somebody asked.
    Stopped,
}

/// The loop while it runs.
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
    fn run_to_the_end(&mut self) -> Result<StopReason> {
        let (metrics, lost) = MetricsFile::open(&self.setup.run.metrics(), &self.progress)?;
        self.metrics = Some(metrics);
        if let Some(lost) = lost {
            (self.setup.say)(&lost);
        }
        let mut done = self.steps_into_epoch()?;
        // A process that ended between a checkpoint and the adapter of its epoch has left that to this one.
        if done == 0 {
            self.keep_if_best()?;
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
            // The checkpoint first: it knows which epoch the adapter has to be of.
            self.save()?;
            self.keep_if_best()?;
            self.event(LearnerEvent::EndEpoch(epoch));
        }
        Ok(self.early_stop_reason().unwrap_or(StopReason::Finished))
    }

    /// Saves and stops, because of the user or because what shows the run has failed.
    fn stop(&mut self) -> Result<StopReason> {
        self.save()?;
        match self.interrupter.error() {
            Some(error) => bail!("what shows the run has failed: {error}"),
            None => Ok(StopReason::Stopped),
        }
    }

    fn steps_into_epoch(&self) -> Result<usize> {
        Ok(self.progress.steps_into_epoch(self.setup.steps_per_epoch, self.setup.epochs)?)
    }

    /// Keeps the model as it is, after an epoch that is the best.
    fn keep_if_best(&self) -> Result<()> {
        match self.progress.epochs.last() {
            Some(last) if self.progress.best() == Some(last) => {
                (self.setup.keep)(&self.model, last)
            }
            _ => Ok(()),
        }
    }

    /// Whether the epochs so far are a reason to train no further.
    fn early_stop_reason(&self) -> Option<StopReason> {
        let reached = |limit: Option<usize>, epochs| limit.is_some_and(|limit| epochs >= limit);
        if reached(self.setup.give_up_after, self.progress.epochs_with_single_class()) {
            return Some(StopReason::Collapsed);
        }
        reached(self.setup.patience, self.progress.epochs_without_improvement())
            .then_some(StopReason::Finished)
    }

    /// Trains what is left of an epoch after so many steps; the median seconds of the others.
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
        seconds.sort_by(f64::total_cmp);
        Ok(seconds.get(seconds.len() / 2).copied().unwrap_or_default())
    }

    /// Scores the validation rows; `None` when the run was stopped meanwhile.
    fn validate(&mut self, epoch: usize, seconds_per_step: f64) -> Result<Option<EpochReport>> {
        let setup = self.setup;
        let model = self.model.valid();
        let device = self.device.clone().inner();
        let batches = scoring_batches(&setup.validation.lengths(), setup.batch_size);
        let total_items = batches.len();
        self.validation_event(LearnerEvent::StartSplit { epoch_number: epoch, total_items });
        let mut answered = vec![None; setup.validation.rows().len()];
        let mut loss_sum = 0.0;
        for (index, indices) in batches.iter().enumerate() {
            let _spinning = keep_workers_spinning(&device);
            let batch = rows::batch(&setup.validation, indices, &device);
            let states = setup.frozen.as_ref().map(|frozen| &frozen.validation);
            let output = model.forward_from(layer_input(states, indices, &batch)?, &batch);
            let output = output.read(&batch.labels);
            loss_sum += output.loss * indices.len() as f64;
            for (row, scored) in indices.iter().zip(&output.scored) {
                answered[*row] = Some(scored.clone());
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
        // A scoring pass sees every row once.
        let answered: Vec<ScoredRow> = answered.into_iter().flatten().collect();
        let validation_loss = loss_sum / answered.len() as f64;
        self.ensure_finite(Quantity::ValidationLoss, validation_loss)?;
        let mut logits = answered.iter().flat_map(|row| &row.logits);
        if let Some(logit) = logits.find(|logit| !logit.is_finite()) {
            self.ensure_finite(Quantity::ValidationLogit, f64::from(*logit))?;
        }
        let scores = setup.evaluator.scores(&answered).context("no validation row has a label")?;
        let main = scores.get(setup.evaluator.metric()).and_then(serde_json::Value::as_f64);
        // JSON has no NaN: what is not finite has become `null`.
        let score = main.unwrap_or(f64::NAN);
        self.ensure_finite(Quantity::ValidationScore, score)?;
        Ok(Some(EpochReport {
            epoch,
            train_loss: self.progress.loss_sum / setup.steps_per_epoch as f64,
            validation_loss,
            score,
            scores,
            one_answer: setup.evaluator.predicts_single_class(&answered),
            seconds_per_step,
        }))
    }

    fn ensure_finite(&self, what: Quantity, value: f64) -> Result<(), TrainingError> {
        if value.is_finite() {
            return Ok(());
        }
        // A step is counted when the optimizer has taken it.
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
        // Weights are looked at here and not at every step: those that are not finite make the next loss so.
        self.ensure_finite(Quantity::Weight, sum_of_trained(&self.model))?;
        self.metrics()?.sync()?;
        let identity = match self.identity.take() {
            Some(identity) => identity,
            None => (self.setup.identify)()?,
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

/// The kept states of some rows.
fn layer_input(
    states: Option<&CachedActivations>,
    rows: &[usize],
    batch: &Batch,
) -> Result<Option<LayerInput>> {
    let [_, sequence] = batch.input_ids.dims();
    let layer_input = |states: &CachedActivations| {
        let hidden = states.batch(rows, sequence, &batch.input_ids.device())?;
        Ok(LayerInput { layer: states.layer(), hidden })
    };
    states.map(layer_input).transpose()
}
