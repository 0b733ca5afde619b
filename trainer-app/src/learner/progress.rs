//! The progress of a run, which a checkpoint records beside the tensors.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use burn_adapters::file::native::Calibration;

use super::loss_scale::LossScale;
use crate::task_data::score_details::ScoreDetails;

/// The progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub steps: usize,
    /// The completed epochs.
    pub epochs: Vec<EpochReport>,
    /// Sum of the losses of the current epoch.
    pub loss_sum: f64,
    /// Seconds spent so far, in all processes of the run.
    pub seconds: f64,
    /// The loss scale, once it differs from the initial one of the precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// Whether of epochs with the same score the one with the lower validation loss is the best; otherwise it is the
    /// first. A run whose checkpoint has no such field was started with the other rule, by which its adapter was saved.
    #[serde(default)]
    pub ties_by_loss: bool,
}

/// Of a run that has not started.
impl Default for Progress {
    fn default() -> Self {
        Self {
            steps: 0,
            epochs: Vec::new(),
            loss_sum: 0.0,
            seconds: 0.0,
            loss_scale: None,
            ties_by_loss: true,
        }
    }
}

/// A completed epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean validation loss.
    pub validation_loss: f64,
    /// The main score on the validation rows.
    pub score: f64,
    /// Every score on the validation rows, by name.
    pub scores: serde_json::Map<String, serde_json::Value>,
    /// The thresholds or the temperature that were chosen on the validation rows.
    #[serde(default, skip_serializing_if = "Calibration::is_default")]
    pub calibration: Calibration,
    /// What the scores consist of; only of the best epoch so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ScoreDetails>,
    /// Whether the predicted class was the same for every validation row: the run has collapsed, or has not started to
    /// learn.
    #[serde(default, rename = "one_answer")]
    pub single_class: bool,
    /// Median duration of a training step in seconds; 0 if a previous process did all steps.
    pub seconds_per_step: f64,
}

/// The number of steps does not fit the number of epochs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{steps} steps and {epochs} epochs are done, but an epoch has {steps_per_epoch} steps here and the run {of} epochs: \
     the training rows, the batch size or the number of epochs are not those of the run"
)]
pub struct StepsMismatch {
    /// Steps done.
    pub steps: usize,
    /// Completed epochs.
    pub epochs: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the whole run.
    pub of: usize,
}

impl Progress {
    /// The epoch with the best score; of equals the one with the lowest validation loss, and of those the first.
    pub fn best(&self) -> Option<&EpochReport> {
        let is_better =
            |epoch: &EpochReport, best: &EpochReport| match epoch.score.partial_cmp(&best.score) {
                Some(Ordering::Equal) => {
                    self.ties_by_loss && epoch.validation_loss < best.validation_loss
                }
                order => order == Some(Ordering::Greater),
            };
        self.epochs.iter().reduce(|best, epoch| if is_better(epoch, best) { epoch } else { best })
    }

    /// Adds a completed epoch; the details of all epochs but the best are dropped.
    pub fn push(&mut self, epoch: EpochReport) {
        self.epochs.push(epoch);
        let best = self.best().map(|best| best.epoch);
        for epoch in self.epochs.iter_mut().filter(|epoch| Some(epoch.epoch) != best) {
            epoch.details = None;
        }
    }

    /// Number of epochs, up to the last, with the same prediction for every row.
    pub fn epochs_with_single_class(&self) -> usize {
        self.epochs.iter().rev().take_while(|epoch| epoch.single_class).count()
    }

    /// Number of epochs since the best.
    pub fn epochs_without_improvement(&self) -> usize {
        self.best().map_or(0, |best| self.epochs.len().saturating_sub(best.epoch))
    }

    /// Steps done of the current epoch, in a run of `of` epochs.
    ///
    /// # Errors
    /// If steps and epochs do not fit each other, or there are more epochs than in the run.
    pub fn steps_into_epoch(
        &self,
        steps_per_epoch: usize,
        of: usize,
    ) -> Result<usize, StepsMismatch> {
        let epochs = self.epochs.len();
        let numbered =
            self.epochs.iter().enumerate().all(|(index, epoch)| epoch.epoch == index + 1);
        let done =
            epochs.checked_mul(steps_per_epoch).and_then(|before| self.steps.checked_sub(before));
        // After all steps of an epoch, only its validation is left.
        let most = if epochs < of { steps_per_epoch } else { 0 };
        done.filter(|done| numbered && epochs <= of && *done <= most).ok_or(StepsMismatch {
            steps: self.steps,
            epochs,
            steps_per_epoch,
            of,
        })
    }
}

/// The median of durations, the upper one of two; 0 if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(steps: usize, epochs: usize) -> Progress {
        let report = |epoch| EpochReport {
            epoch,
            train_loss: 0.1,
            validation_loss: 0.1,
            score: 0.5,
            scores: serde_json::Map::new(),
            calibration: Calibration::default(),
            details: None,
            single_class: false,
            seconds_per_step: 0.1,
        };
        Progress { steps, epochs: (1..=epochs).map(report).collect(), ..Progress::default() }
    }

    #[test]
    fn of_epochs_with_the_same_score_the_one_with_the_lowest_loss_is_the_best() {
        let mut progress = progress(0, 4);
        for (epoch, (score, loss)) in
            progress.epochs.iter_mut().zip([(1.0, 0.9), (1.0, 0.4), (1.0, 0.4), (0.9, 0.1)])
        {
            (epoch.score, epoch.validation_loss) = (score, loss);
        }
        assert_eq!(progress.best().map(|epoch| epoch.epoch), Some(2));
        assert_eq!(progress.epochs_without_improvement(), 2);
        // The rule of runs that were started before it; their checkpoints do not name one.
        let mut record = serde_json::to_value(&progress).unwrap();
        record.as_object_mut().unwrap().remove("ties_by_loss");
        let before: Progress = serde_json::from_value(record).unwrap();
        assert_eq!(before.best().map(|epoch| epoch.epoch), Some(1));
    }

    #[test]
    fn steps_fit_epochs_or_are_refused() {
        assert_eq!(progress(0, 0).steps_into_epoch(10, 3), Ok(0));
        assert_eq!(progress(10, 0).steps_into_epoch(10, 3), Ok(10));
        assert_eq!(progress(27, 2).steps_into_epoch(10, 3), Ok(7));
        assert_eq!(progress(30, 3).steps_into_epoch(10, 3), Ok(0));
        // More rows than before, fewer rows, fewer epochs, and a number that is no product.
        for (steps, epochs, steps_per_epoch) in
            [(100, 2, 200), (100, 1, 10), (40, 4, 10), (31, 3, 10), (100, 2, usize::MAX)]
        {
            let refused = progress(steps, epochs).steps_into_epoch(steps_per_epoch, 3);
            assert!(refused.is_err(), "{steps} {epochs} {steps_per_epoch}");
        }
    }
}
