//! Predictions of an adapter file on its base, for `evaluate`, `predict` and `ablate`.

use std::iter;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor};
use burn_adapters::ablate_spans;
use burn_adapters::file::native::{self, AdapterMetadata};
use burn_adapters::{
    AdapterDrop, AdapterPlan, HeadOutput, Layers, Stack, TaskAdapter, TrainableBase,
};
use burn_bert::{BertConfig, Encoder, Insertions, Precision};
use glue_data::batching::scoring_batches;
use glue_data::tagging::{TaggedText, WordWindows};
use glue_data::{Batch, Example, TextEncoder, TokenizedDataset};

use crate::base::Base;
use crate::exit::UsageError;
use crate::inference::adapter_task::{AdapterTask, check_finite, check_same_input};
use crate::learner::step::{TrainableModel, read_output};
use crate::system::devices;
use crate::system::process::keep_workers_spinning;
use crate::task_data::evaluator::RowOutput;
use crate::task_data::rows;
use crate::terminal::progress::rows_bar;

/// The outputs without the insertions in a span of layers, or with all insertions.
pub type SpanRows = (Option<Range<usize>>, Vec<RowOutput>);

/// The outputs of a model for rows.
pub struct Predictions {
    /// The logits and labels, in the order of the rows.
    pub rows: Vec<RowOutput>,
    /// The duration of the forward passes.
    pub time: Duration,
    /// Number of texts that were truncated to the longest length of the adapter.
    pub cut: usize,
}

/// How an adapter is loaded and run.
#[derive(Debug, Clone)]
pub struct InferenceOptions {
    /// The base; none for the one that the adapter file names.
    pub base: Option<String>,
    /// The device.
    pub device: String,
    /// Rows per batch.
    pub batch_size: usize,
    /// Precision of the base's matrices.
    pub precision: Precision,
}

/// An adapter file on its base.
pub struct Predictor {
    /// The metadata of the adapter file.
    pub metadata: AdapterMetadata,
    /// What the adapter predicts, and how it is scored.
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
    /// Loads an adapter file and its base.
    ///
    /// # Errors
    /// If the file is damaged or belongs to another base, or the base or the device is not available.
    pub fn load(adapter: &Path, options: &InferenceOptions) -> Result<Self> {
        let header = native::read_header(adapter)?;
        let task = AdapterTask::of(&header.metadata)?;
        let name = options.base.as_deref().unwrap_or(&header.metadata.base.name);
        let base = Base::locate(name).with_context(|| {
            let path = adapter.display();
            match options.base {
                Some(_) => format!("locating the base of {path}"),
                None => format!(
                    "locating the base of {path}, which is named {name} in the file; if that is a directory that is \
                     now elsewhere, give its path with --base"
                ),
            }
        })?;
        let device = devices::resolve(&options.device)?;
        devices::check_precision(&device, options.precision)?;
        let bert_config = base.config()?;
        let encoder = base.encoder(&bert_config, header.metadata.max_length)?;
        let tokenizer = encoder.fingerprint();
        header.metadata.base.check_tokenizer(adapter, Some(&tokenizer))?;
        let bert = burn_bert::load_weights(&bert_config, base.directory(), &device)?
            .with_precision(options.precision);
        let (model, metadata) = native::load(adapter, bert, &base.fingerprint()?)?;
        let trainable = TrainableModel { model: model.for_inference() };
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
            batch_size: options.batch_size.max(1),
        })
    }

    /// Stacks the adapter on another one, or drops layers of it, or both.
    ///
    /// # Errors
    /// If the other adapter file cannot be read or belongs to another base, or the base does not have a layer.
    pub fn compose(&mut self, stack_on: Option<&Path>, drop_layers: Option<&str>) -> Result<()> {
        if let Some(path) = stack_on {
            let bert = self.trainable.model.bert.clone();
            let (below, metadata) = native::load(path, bert, &self.metadata.base.fingerprint)?;
            metadata.base.check_tokenizer(path, Some(&self.tokenizer))?;
            let plan = &below.task.config().plan;
            if !plan.inserts() && below.task.fusion.is_none() {
                return Err(UsageError::new(format!(
                    "--stack-on {} has no effect: its method {} inserts no modules into the layers; leave it out",
                    path.display(),
                    metadata.method
                )));
            }
            let adapter = format!("the adapter for {}", self.metadata.task);
            check_same_input((adapter, self.metadata.input), (path.display(), metadata.input))?;
            self.below = vec![below.for_inference().task];
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
            self.check_dropped(&format!("--drop-layers {text}"), &layers)?;
            self.drop_layers(layers);
        }
        Ok(())
    }

    /// Checks that dropping layers changes the adapter, or the one below it.
    ///
    /// # Errors
    /// A [`UsageError`] if it has neither modules nor LayerNorms in these layers.
    pub fn check_dropped(&self, flag: &str, layers: &Layers) -> Result<()> {
        let task = &self.trainable.model.task;
        let tasks = || self.below.iter().chain([task]).map(TaskAdapter::config);
        let has_modules = |layer| {
            tasks()
                .flat_map(|config| iter::once(&config.plan).chain(&config.fused))
                .flat_map(AdapterPlan::inserted_layers)
                .any(|inserted| inserted.contains(layer))
        };
        let has_norms = |layer| match task.config().plan.trainable_base {
            TrainableBase::LayerNorms => true,
            TrainableBase::LayerNormsFrom(first) => layer >= first,
            _ => false,
        };
        let dropped = (0..self.n_layers()).filter(|layer| layers.contains(*layer));
        if dropped.into_iter().any(|layer| has_modules(layer) || has_norms(layer)) {
            return Ok(());
        }
        Err(UsageError::new(format!(
            "{flag} has no effect: the adapter, whose method is {}, has neither modules nor LayerNorms of its own in \
             these layers; leave it out",
            self.metadata.method
        )))
    }

    /// Drops the insertions of the adapter, and of the adapter below it, in some layers.
    pub fn drop_layers(&mut self, layers: Layers) {
        self.dropped = layers;
    }

    /// Number of layers of the base.
    pub fn n_layers(&self) -> usize {
        self.trainable.model.bert.n_layers()
    }

    /// Rows per batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Whether the adapter inserts anything into the layers.
    pub fn inserts(&self) -> bool {
        let task = &self.trainable.model.task;
        task.config().plan.inserts() || task.fusion.is_some()
    }

    /// The tokens of texts.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub fn encode(&self, examples: &[Example]) -> Result<TokenizedDataset> {
        rows::encode(&self.encoder, &self.bert_config, examples)
    }

    /// The rows of texts whose words are labeled.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub fn windows(&self, texts: &[TaggedText]) -> Result<WordWindows> {
        let windows = WordWindows::cut(texts, &self.encoder)?;
        rows::check(&self.bert_config, windows.rows())?;
        Ok(windows)
    }

    /// The outputs with all insertions (`None`), and without the insertions of each span of layers.
    ///
    /// # Errors
    /// If an output is not finite.
    pub fn outputs_without_spans(&self, encoded: &TokenizedDataset) -> Result<Vec<SpanRows>> {
        let whole = run(&self.trainable, encoded, self.batch_size, &self.device);
        let mut spans = vec![(None, whole)];
        let batches = scoring_batches(&encoded.lengths(), self.batch_size);
        let bar = rows_bar(encoded.rows().len());
        for indices in batches {
            let batch = rows::batch(encoded, &indices, &self.device);
            let mut index = 1;
            ablate_spans(&self.trainable.model, &rows::bert_input(&batch), |span, logits| {
                let output = HeadOutput { loss: Tensor::zeros([1], &self.device), logits };
                let output = read_output(output, &batch.labels);
                if spans.len() == index {
                    spans.push((Some(span), Vec::new()));
                }
                spans[index].1.extend(output.rows);
                index += 1;
            });
            bar.inc(indices.len() as u64);
        }
        bar.finish_and_clear();
        spans.iter().try_for_each(|(_, rows)| check_finite(rows))?;
        Ok(spans)
    }

    /// The outputs for texts, in their order.
    ///
    /// # Errors
    /// If a text cannot be tokenized, or an output is not finite.
    pub fn predict(&self, examples: &[Example]) -> Result<Predictions> {
        self.outputs(&self.encode(examples)?)
    }

    /// The outputs for rows, in their order.
    ///
    /// # Errors
    /// If an output is not finite.
    pub fn outputs(&self, encoded: &TokenizedDataset) -> Result<Predictions> {
        let task = &self.trainable.model.task;
        let stack = Stack { below: &self.below, task };
        let insertions: &dyn Insertions = if self.below.is_empty() { task } else { &stack };
        let insertions = AdapterDrop { insertions, layers: &self.dropped };
        let forward = |batch: &Batch| self.trainable.forward_with(batch, &insertions);
        let start = Instant::now();
        let rows = run_with(forward, encoded, self.batch_size, &self.device);
        let time = start.elapsed();
        check_finite(&rows)?;
        Ok(Predictions { rows, time, cut: encoded.cut() })
    }
}

fn no_layers() -> Layers {
    Layers::Only(std::collections::BTreeSet::new())
}

/// The outputs of a model for rows, in their order.
pub fn run(
    trainable: &TrainableModel,
    encoded: &TokenizedDataset,
    batch_size: usize,
    device: &Device,
) -> Vec<RowOutput> {
    run_with(|batch| trainable.forward(batch), encoded, batch_size, device)
}

fn run_with(
    forward: impl Fn(&Batch) -> HeadOutput,
    encoded: &TokenizedDataset,
    batch_size: usize,
    device: &Device,
) -> Vec<RowOutput> {
    let batches = scoring_batches(&encoded.lengths(), batch_size);
    let bar = rows_bar(encoded.rows().len());
    let mut outputs = vec![None; encoded.rows().len()];
    for indices in batches {
        let _spinning = keep_workers_spinning(device);
        let batch = rows::batch(encoded, &indices, device);
        let output = read_output(forward(&batch), &batch.labels);
        bar.inc(indices.len() as u64);
        for (index, row) in indices.into_iter().zip(output.rows) {
            outputs[index] = Some(row);
        }
    }
    bar.finish_and_clear();
    // Every row is in one batch.
    outputs.into_iter().flatten().collect()
}
