//! An adapter file on its base, and rows through both: what scoring and predicting share.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor};
use burn_adapters::compose::ablated_layers::ablate_spans;
use burn_adapters::file::native::{self, AdapterMetadata};
use burn_adapters::{AdapterDrop, Layers, Stack, TaskAdapter};
use burn_bert::{BertConfig, Encoder, Insertions};
use glue_data::batching::scoring_batches;
use glue_data::{Batch, Example, TextEncoder, TokenizedDataset};

use crate::base::Base;
use crate::cli::InferenceArgs;
use crate::devices;
use crate::inference::adapter_task::{AdapterTask, check_finite};
use crate::learner::step::{Forward, ScoredRow, TrainableModel, bert_input};
use crate::process::keep_workers_spinning;
use crate::task_data::rows;
use crate::terminal::rows_bar;

/// The rows without what is inserted in a span of layers, or in none.
pub type SpanRows = (Option<Range<usize>>, Vec<ScoredRow>);

/// Rows that went through a model, in their order.
pub struct Predictions {
    /// With their logits.
    pub rows: Vec<ScoredRow>,
    /// How long the model took.
    pub time: Duration,
    /// Texts that were longer than the adapter reads, and were cut.
    pub cut: usize,
}

/// An adapter that is ready to answer.
pub struct Predictor {
    /// What its file says.
    pub metadata: AdapterMetadata,
    /// What it predicts and how that is judged.
    pub task: AdapterTask,
    trainable: TrainableModel,
    below: Vec<TaskAdapter>,
    dropped: Layers,
    encoder: TextEncoder,
    /// Fingerprint of the encoder.
    tokenizer: String,
    bert_config: BertConfig,
    device: Device,
    batch_size: usize,
}

impl Predictor {
    /// Puts an adapter file onto its base.
    ///
    /// # Errors
    /// A file that is damaged or belongs to another base, a base or device that is not there.
    pub fn load(adapter: &Path, args: &InferenceArgs) -> Result<Self> {
        let header = native::read_header(adapter)?;
        let task = AdapterTask::of(&header.metadata)?;
        let name = args.base.as_deref().unwrap_or(&header.metadata.base.name);
        let base = Base::locate(name)
            .with_context(|| format!("locating the base of {}", adapter.display()))?;
        let device = devices::resolve(&args.device)?;
        devices::check_precision(&device, args.precision)?;
        let bert_config = base.config()?;
        let encoder = base.encoder(&bert_config, header.metadata.max_length)?;
        let tokenizer = encoder.fingerprint();
        header.metadata.base.check_tokenizer(adapter, Some(&tokenizer))?;
        let bert = burn_bert::load_weights(&bert_config, base.directory(), &device)?
            .with_precision(args.precision);
        let (model, metadata) = native::load(adapter, bert, &base.fingerprint()?)?;
        let trainable = TrainableModel { model };
        Ok(Self {
            metadata,
            task,
            trainable,
            below: Vec::new(),
            dropped: no_layers(),
            encoder,
            tokenizer,
            bert_config,
            device,
            batch_size: args.batch_size.max(1),
        })
    }

    /// Puts the adapter on another one, and leaves layers of it out, where either is asked for.
    ///
    /// # Errors
    /// An adapter file that cannot be read or belongs to another base, or a layer that the base does not have.
    pub fn compose(&mut self, stack_on: Option<&Path>, drop_layers: Option<&str>) -> Result<()> {
        if let Some(path) = stack_on {
            let bert = self.trainable.model.bert.clone();
            let (below, metadata) = native::load(path, bert, &self.metadata.base.fingerprint)?;
            metadata.base.check_tokenizer(path, Some(&self.tokenizer))?;
            self.below = vec![below.task];
        }
        if let Some(text) = drop_layers {
            let layers: Layers = text.parse()?;
            let highest = match &layers {
                Layers::All => None,
                Layers::From(first) => Some(*first),
                Layers::Only(layers) => layers.last().copied(),
            };
            let n_layers = self.n_layers();
            ensure!(
                highest.is_none_or(|highest| highest < n_layers),
                "--drop-layers {text} goes beyond the base's {n_layers} layers (0 to {})",
                n_layers.saturating_sub(1)
            );
            self.drop_layers(layers);
        }
        Ok(())
    }

    /// Leaves everything of the adapter, and of what it stands on, out of some layers.
    pub fn drop_layers(&mut self, layers: Layers) {
        self.dropped = layers;
    }

    /// Layers of the base.
    pub fn n_layers(&self) -> usize {
        self.trainable.model.bert.n_layers()
    }

    /// Rows a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Whether the adapter inserts anything anywhere.
    pub fn inserts(&self) -> bool {
        let task = &self.trainable.model.task;
        task.config().plan.inserts() || task.fusion.is_some()
    }

    /// The rows with their logits for the adapter as it is (`None`) and without what it inserts in every span of
    /// layers.
    ///
    /// # Errors
    /// A text that cannot be tokenized, or an output that is no number.
    pub fn answer_without_spans(&self, examples: &[Example]) -> Result<Vec<SpanRows>> {
        let encoded = rows::encode(&self.encoder, &self.bert_config, examples)?;
        let whole = run(&self.trainable, &encoded, self.batch_size, &self.device);
        let mut spans = vec![(None, whole)];
        let batches = scoring_batches(&encoded.lengths(), self.batch_size);
        let bar = rows_bar(encoded.rows().len());
        for indices in batches {
            let batch = rows::batch(&encoded, &indices, &self.device);
            let mut place = 1;
            ablate_spans(&self.trainable.model, &bert_input(&batch), |span, logits| {
                let forward = Forward { loss: Tensor::zeros([1], &self.device), logits };
                let output = forward.read(&batch.labels);
                if spans.len() == place {
                    spans.push((Some(span), Vec::new()));
                }
                spans[place].1.extend(output.scored);
                place += 1;
            });
            bar.inc(indices.len() as u64);
        }
        bar.finish_and_clear();
        spans.iter().try_for_each(|(_, rows)| check_finite(rows))?;
        Ok(spans)
    }

    /// The rows with their logits, in their order.
    ///
    /// # Errors
    /// A text that cannot be tokenized, or an output that is no number.
    pub fn answer(&self, examples: &[Example]) -> Result<Predictions> {
        let encoded = rows::encode(&self.encoder, &self.bert_config, examples)?;
        let task = &self.trainable.model.task;
        let stack = Stack { below: &self.below, task };
        let insertions: &dyn Insertions = if self.below.is_empty() { task } else { &stack };
        let insertions = AdapterDrop { insertions, layers: &self.dropped };
        let forward = |batch: &Batch| self.trainable.forward_with(batch, &insertions);
        let start = Instant::now();
        let rows = run_with(forward, &encoded, self.batch_size, &self.device);
        let time = start.elapsed();
        check_finite(&rows)?;
        Ok(Predictions { rows, time, cut: encoded.cut() })
    }
}

fn no_layers() -> Layers {
    Layers::Only(std::collections::BTreeSet::new())
}

/// Sends rows through a model; they come back in their order.
pub fn run(
    trainable: &TrainableModel,
    encoded: &TokenizedDataset,
    batch_size: usize,
    device: &Device,
) -> Vec<ScoredRow> {
    run_with(|batch| trainable.forward(batch), encoded, batch_size, device)
}

fn run_with(
    forward: impl Fn(&Batch) -> Forward,
    encoded: &TokenizedDataset,
    batch_size: usize,
    device: &Device,
) -> Vec<ScoredRow> {
    let batches = scoring_batches(&encoded.lengths(), batch_size);
    let bar = rows_bar(encoded.rows().len());
    let mut scored = vec![None; encoded.rows().len()];
    for indices in batches {
        let _spinning = keep_workers_spinning(device);
        let batch = rows::batch(encoded, &indices, device);
        let output = forward(&batch).read(&batch.labels);
        bar.inc(indices.len() as u64);
        for (index, row) in indices.into_iter().zip(output.scored) {
            scored[index] = Some(row);
        }
    }
    bar.finish_and_clear();
    // A scoring pass sees every row once.
    scored.into_iter().flatten().collect()
}

/// The probabilities of logits.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_positive_and_sum_to_one() {
        let probabilities = softmax(&[1000.0, 1001.0, -1000.0]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(probabilities[1] > probabilities[0] && probabilities[2] >= 0.0);
    }
}
