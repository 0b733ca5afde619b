//! The training loop inside burn-train's `SupervisedTraining`. burn-train provides the dashboard, the metrics and the
//! interruption; the order of steps, their random streams and checkpoints are decided here.
//!
//! Every step has a random stream of its own, derived from the seed and the step's number, and the order of the rows is
//! derived from the seed and the epoch. A run that was stopped anywhere therefore resumes bit for bit (on the CPU).

mod epochs;
mod replica;
mod settings;
mod state;
mod steps;

use std::time::Instant;

use burn::module::Module;
use burn::train::checkpoint::CheckpointerError;
use burn::train::{
    Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader,
    TrainingComponents, ValidLoader,
};

use crate::learner::step::TrainableModel;
use epochs::StopReason;
use replica::Replica;
pub use settings::{ComputeIdentity, LoopResult, Notify, ResumableLoop, SaveBest};
use state::LoopState;

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
