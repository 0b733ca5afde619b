//! Training with Burn's own `Learner`: the steps of an [`AdaptedBert`].
//!
//! An adapted model implements burn-train's [`TrainStep`] and [`InferenceStep`] for a [`TrainBatch`], so it can be passed
//! to a `Learner` directly. Only the parameters of its plan require gradients. `examples/burn_learner.rs` is a whole
//! program.

use burn::tensor::ExecutionError;
use burn::tensor::Tensor;
use burn::train::metric::{AccuracyInput, Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_bert::{BertInput, Encoder};

use crate::model::{AdaptedBert, HeadOutput, Targets};

/// A batch of texts with their targets.
#[derive(Debug, Clone)]
pub struct TrainBatch {
    /// The texts.
    pub input: BertInput,
    /// What the head should predict.
    pub targets: Targets,
}

/// The result of a step, for the metrics of a `Learner`.
#[derive(Debug)]
pub struct TrainBatchOutput {
    /// The mean loss, `[1]`.
    pub loss: Tensor<1>,
    /// `[batch, outputs]`; of tokens `[batch, outputs * sequence]`, output by output.
    pub logits: Tensor<2>,
    /// The targets of the batch.
    pub targets: Targets,
}

impl AdaptedBert {
    fn train_batch(&self, batch: TrainBatch) -> TrainBatchOutput {
        let TrainBatch { input, targets } = batch;
        let hidden = self.bert.forward_with(&input, &self.task);
        let HeadOutput { loss, logits } =
            self.head_output(hidden, &input.attention_mask, Some(&targets));
        TrainBatchOutput { loss, logits, targets }
    }
}

impl TrainStep for AdaptedBert {
    type Input = TrainBatch;
    type Output = TrainBatchOutput;

    fn step(&self, batch: TrainBatch) -> TrainOutput<TrainBatchOutput> {
        let output = self.train_batch(batch);
        let gradients = output.loss.backward();
        TrainOutput::new(self, gradients, output)
    }
}

impl InferenceStep for AdaptedBert {
    type Input = TrainBatch;
    type Output = TrainBatchOutput;

    fn step(&self, batch: TrainBatch) -> TrainBatchOutput {
        self.train_batch(batch)
    }
}

impl ItemLazy for TrainBatchOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        self.loss.device().flush()?;
        Ok(Self {
            loss: self.loss.without_autodiff(),
            logits: self.logits.without_autodiff(),
            targets: self.targets.without_autodiff(),
        })
    }
}

impl Adaptor<LossInput> for TrainBatchOutput {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.loss.clone())
    }
}

impl Adaptor<AccuracyInput> for TrainBatchOutput {
    /// # Panics
    /// If the targets are not classes; register the accuracy for a classification only.
    fn adapt(&self) -> AccuracyInput {
        let Targets::Classes(classes) = &self.targets else {
            panic!("the accuracy is a metric of a classification, expected targets of classes")
        };
        AccuracyInput::new(self.logits.clone(), classes.clone())
    }
}
