//! The model as a burn-train learner: loss and logits of a batch, and gradients in training.
//! Gradient clipping and the optimizer are in `strategy`.

use burn::module::Module;
use burn::tensor::{ExecutionError, Tensor};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_adapters::{AdaptedBert, HeadOutput};
use burn_bert::{Encoder, Insertions};
use glue_data::{Batch, Label};

use crate::task_data::evaluator::RowOutput;
use crate::task_data::kind::head_targets;
use crate::task_data::rows::bert_input;

/// A BERT with adapters and a head, as a model of burn-train's learner.
#[derive(Module, Debug)]
pub struct TrainableModel {
    /// The model.
    pub model: AdaptedBert,
}

/// Hidden states that enter a layer below which nothing is inserted.
#[derive(Debug, Clone)]
pub struct LayerInput {
    /// The layer.
    pub layer: usize,
    /// `[batch, sequence, d_model]`
    pub hidden: Tensor<3>,
}

/// The result of a step, for the dashboard, the metrics file and the scores.
#[derive(Debug, Clone, Default)]
pub struct StepOutput {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Global norm of the gradients before clipping; `None` without gradients.
    pub gradient_norm: Option<f64>,
    /// Duration of the whole step in seconds; `None` if it was not measured.
    pub seconds: Option<f64>,
    /// The logits and labels of the rows.
    pub rows: Vec<RowOutput>,
}

impl TrainableModel {
    /// Loss and logits of a batch.
    pub fn forward(&self, batch: &Batch) -> HeadOutput {
        self.forward_with(batch, &self.model.task)
    }

    /// Loss and logits with other insertions than the model's own.
    pub fn forward_with(&self, batch: &Batch, insertions: &dyn Insertions) -> HeadOutput {
        self.head_output(self.model.bert.forward_with(&bert_input(batch), insertions), batch)
    }

    /// Loss and logits from the hidden states that enter a layer, if they are given.
    pub fn forward_from(&self, layer_input: Option<LayerInput>, batch: &Batch) -> HeadOutput {
        let Some(LayerInput { layer, hidden }) = layer_input else { return self.forward(batch) };
        self.head_output(self.model.forward_from_layer(layer, hidden, &batch.attention_mask), batch)
    }

    /// Loss and logits from the hidden states above the last layer.
    pub fn head_output(&self, hidden: Tensor<3>, batch: &Batch) -> HeadOutput {
        let targets = batch.targets.clone().map(head_targets);
        self.model.head_output(hidden, &batch.attention_mask, targets.as_ref())
    }
}

/// Reads loss and logits of a batch from the device.
pub fn read_output(output: HeadOutput, labels: &[Option<Label>]) -> StepOutput {
    let [_, outputs] = output.logits.dims();
    let logits: Vec<f32> = output.logits.into_data().iter::<f32>().collect();
    let rows = logits.chunks(outputs).zip(labels);
    StepOutput {
        loss: output.loss.into_scalar::<f64>(),
        rows: rows
            .map(|(logits, label)| RowOutput { logits: logits.to_vec(), label: label.clone() })
            .collect(),
        ..StepOutput::default()
    }
}

impl TrainStep for TrainableModel {
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> TrainOutput<StepOutput> {
        let forward = self.forward(&batch);
        let gradients = forward.loss.backward();
        TrainOutput::new(self, gradients, read_output(forward, &batch.labels))
    }
}

impl InferenceStep for TrainableModel {
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> StepOutput {
        read_output(self.forward(&batch), &batch.labels)
    }
}

impl ItemLazy for StepOutput {
    /// Everything has already been read from the device.
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}
