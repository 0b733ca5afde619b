//! The epochs of the loop: steps, validation, checkpoints, and when training ends.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::data::dataloader::Progress as SplitProgress;
use burn::module::Module;
use burn::train::{EventProcessorTraining, LearnerEvent, TrainingItem};
use glue_data::batching::{scoring_batches, training_batches};

use super::state::{LoopState, layer_input};
use crate::learner::checkpoint::Checkpoint;
use crate::learner::clip::sum_of_trainable;
use crate::learner::error::Quantity;
use crate::learner::metrics_file::MetricsFile;
use crate::learner::progress::{EpochReport, median};
use crate::learner::step::{StepOutput, read_output};
use crate::system::process::keep_workers_spinning;
use crate::task_data::evaluator::RowOutput;
use crate::task_data::rows;

/// Why the loop ended.
pub(super) enum StopReason {
    /// All epochs are done, or as many as patience allows.
    Finished,
    /// The prediction was the same for every row, epoch after epoch.
    Collapsed,
    /// The run was interrupted.
    Stopped,
}

impl LoopState<'_> {
    pub(super) fn run(&mut self) -> Result<StopReason> {
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
            self.progress.push(report.clone());
            done = self.steps_into_epoch()?;
            // The details are in the result of the run.
            self.metrics()?.epoch(&EpochReport { details: None, ..report })?;
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
        let calibration = setup.evaluator.calibration(&outputs, setup.tuning);
        let scores = setup.evaluator.scores(&outputs, &calibration);
        let scores = scores.context("no validation row has a label")?;
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
            details: setup.evaluator.details(&outputs, &calibration),
            calibration,
            single_class: setup.evaluator.predicts_single_class(&outputs),
            seconds_per_step,
        }))
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
