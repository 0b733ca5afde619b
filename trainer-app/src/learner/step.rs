//! One step of a run: forward and loss, and backward for training.
//! Clipping, the optimizer and the order of batches are elsewhere.

use burn::module::Module;
use burn::tensor::{ExecutionError, Tensor};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_adapters::{AdaptedBert, classification_loss, regression_loss, span_loss};
use burn_bert::{BertInput, Encoder, Insertions};
use glue_data::{Batch, Label, Targets};

/// The logit of a place where no answer starts or ends: far below any other, and finite.
const MASKED_LOGIT: f32 = -1e9;

/// A BERT with its task, as burn-train's learner wants it.
#[derive(Module, Debug)]
pub struct TrainableModel {
    /// What is trained.
    pub model: AdaptedBert,
}

/// States that enter a layer below which the task has nothing.
#[derive(Debug, Clone)]
pub struct LayerInput {
    /// The layer.
    pub layer: usize,
    /// `[batch, sequence, d_model]`
    pub hidden: Tensor<3>,
}

/// Loss and logits, still on the device.
#[derive(Debug)]
pub struct Forward {
    /// Mean loss of the batch, `[1]`; 0 where labels are unknown.
    pub loss: Tensor<1>,
    /// `[batch, outputs]`; of spans `[batch, 2 * sequence]`, the starts before the ends.
    pub logits: Tensor<2>,
}

/// What a step leaves for the dashboard, the metrics file and the score.
#[derive(Debug, Clone, Default)]
pub struct StepOutput {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Global norm of the gradients before clipping; `None` when nothing was differentiated.
    pub gradient_norm: Option<f64>,
    /// Seconds the whole step took; `None` when it was not timed.
    pub seconds: Option<f64>,
    /// The rows with their logits.
    pub scored: Vec<ScoredRow>,
}

/// A row that went through the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredRow {
    /// One a class, the score alone, or for a span each position as a start and then each as an end.
    pub logits: Vec<f32>,
    /// What was expected, where it is known.
    pub label: Option<Label>,
}

impl TrainableModel {
    /// Logits and loss of a batch.
    pub fn forward(&self, batch: &Batch) -> Forward {
        self.forward_with(batch, &self.model.task)
    }

    /// The same with other insertions than the task's own.
    pub fn forward_with(&self, batch: &Batch, insertions: &dyn Insertions) -> Forward {
        self.read(self.model.bert.forward_with(&bert_input(batch), insertions), batch)
    }

    /// The same from the states that enter a layer, where there are such.
    pub fn forward_from(&self, layer_input: Option<LayerInput>, batch: &Batch) -> Forward {
        let Some(LayerInput { layer, hidden }) = layer_input else { return self.forward(batch) };
        self.read(self.model.forward_from_layer(layer, hidden, &batch.attention_mask), batch)
    }

    /// The same from the states above the last layer.
    pub fn read(&self, hidden: Tensor<3>, batch: &Batch) -> Forward {
        if let Targets::Spans(spans) = &batch.targets {
            let logits = self.model.token_logits(hidden); // [batch, sequence, 2]
            let [rows, sequence, _] = logits.dims();
            // No answer is in the padding, whose states depend on how they came about: kept ones are zeros. The reference
            // code lets it count as further wrong places, up to its fixed length.
            let padding = batch.attention_mask.clone().bool_not().unsqueeze_dim::<3>(2);
            let logits = logits.mask_fill(padding.expand([rows, sequence, 2]), MASKED_LOGIT);
            let loss = span_loss(logits.clone(), spans.clone());
            return Forward { loss, logits: logits.swap_dims(1, 2).reshape([rows, 2 * sequence]) };
        }
        let logits = self.model.classify_hidden(hidden, &batch.attention_mask);
        let loss = match &batch.targets {
            Targets::Classes(labels) => classification_loss(logits.clone(), labels.clone()),
            Targets::Scores(scores) => regression_loss(logits.clone(), scores.clone()),
            Targets::Spans(_) | Targets::Unknown => Tensor::zeros([1], &logits.device()),
        };
        Forward { loss, logits }
    }
}

/// What a BERT reads of a batch.
pub fn bert_input(batch: &Batch) -> BertInput {
    BertInput {
        input_ids: batch.input_ids.clone(),
        token_type_ids: batch.token_type_ids.clone(),
        attention_mask: batch.attention_mask.clone(),
    }
}

impl Forward {
    /// Reads loss and logits from the device.
    pub fn read(self, labels: &[Option<Label>]) -> StepOutput {
        let [_, outputs] = self.logits.dims();
        let logits: Vec<f32> = self.logits.into_data().iter::<f32>().collect();
        let scored = logits.chunks(outputs).zip(labels);
        StepOutput {
            loss: self.loss.into_scalar::<f64>(),
            scored: scored
                .map(|(logits, label)| ScoredRow { logits: logits.to_vec(), label: *label })
                .collect(),
            ..StepOutput::default()
        }
    }
}

impl TrainStep for TrainableModel {
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> TrainOutput<StepOutput> {
        let forward = self.forward(&batch);
        let gradients = forward.loss.backward();
        TrainOutput::new(self, gradients, forward.read(&batch.labels))
    }
}

impl InferenceStep for TrainableModel {
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> StepOutput {
        self.forward(&batch).read(&batch.labels)
    }
}

impl ItemLazy for StepOutput {
    /// Everything was read from the device already.
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}
