//! How far a run is: what a checkpoint records beside the tensors, and what a result is made of.

use serde::{Deserialize, Serialize};

use super::loss_scale::LossScale;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub steps: usize,
    /// The epochs that were trained and scored.
    pub epochs: Vec<EpochReport>,
    /// Sum of the losses of the epoch that is under way.
    pub loss_sum: f64,
    /// Seconds spent so far, in all processes that worked on the run.
    pub seconds: f64,
    /// What the loss is multiplied by, once it differs from what the precision starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// One epoch that was trained and scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean validation loss.
    pub validation_loss: f64,
    /// The task's main score on the validation rows.
    pub score: f64,
    /// Every score of the task, by name.
    pub scores: serde_json::Map<String, serde_json::Value>,
    /// Whether every validation row got the same class: the run has collapsed, or not started to learn.
    #[serde(default)]
    pub one_answer: bool,
    /// Seconds of a training step, the median; 0 where all steps were done by a process that ended before the epoch.
    pub seconds_per_step: f64,
}

/// A number of steps that does not fit the number of epochs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{steps} steps and {epochs} epochs are done, but an epoch has {steps_per_epoch} steps here and the run {of} epochs: \
     the training rows, the batch size or the number of epochs are not those of the run"
)]
pub struct StepsMismatch {
    /// Steps done.
    pub steps: usize,
    /// Epochs that were trained and scored.
    pub epochs: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the whole run.
    pub of: usize,
}

impl Progress {
    /// The epoch with the best score; the first of equals.
    pub fn best(&self) -> Option<&EpochReport> {
        self.epochs.iter().reduce(|best, epoch| if epoch.score > best.score { epoch } else { best })
    }

    /// How many epochs, up to the last, gave every row the same answer.
    pub fn epochs_with_single_class(&self) -> usize {
        self.epochs.iter().rev().take_while(|epoch| epoch.one_answer).count()
    }

    /// How many epochs have gone by since the best.
    pub fn epochs_without_improvement(&self) -> usize {
        self.best().map_or(0, |best| self.epochs.len().saturating_sub(best.epoch))
    }

    /// Steps done of the epoch that is under way, of a run of so many epochs.
    ///
    /// # Errors
    /// Steps and epochs that do not fit each other, or more epochs than the run has.
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
        // With all steps of an epoch done, it remains to be scored.
        let most = if epochs < of { steps_per_epoch } else { 0 };
        done.filter(|done| numbered && epochs <= of && *done <= most).ok_or(StepsMismatch {
            steps: self.steps,
            epochs,
            steps_per_epoch,
            of,
        })
    }
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
            one_answer: false,
            seconds_per_step: 0.1,
        };
        Progress { steps, epochs: (1..=epochs).map(report).collect(), ..Progress::default() }
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
