//! An adapter file on its base, and rows through both: what scoring and predicting share.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use burn_adapters::HeadKind;
use burn_adapters::file::native::{self, AdapterMetadata};
use burn_bert::BertConfig;
use glue_data::order::scoring_batches;
use glue_data::{EncodedRows, Example, Labels, Metric, Task, TextEncoder, tasks};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::Base;
use crate::cli::InferenceArgs;
use crate::devices;
use crate::learner::step::{ScoredRow, Tuner};
use crate::rows;

/// An adapter that is ready to answer.
pub struct Answerer {
    /// What its file says.
    pub metadata: AdapterMetadata,
    /// What it predicts and how that is judged.
    pub task: Task,
    tuner: Tuner,
    encoder: TextEncoder,
    bert_config: BertConfig,
    device: Device,
    batch_size: usize,
}

impl Answerer {
    /// Puts an adapter file onto its base.
    ///
    /// # Errors
    /// A file that is damaged or belongs to another base, a base or device that is not there.
    pub fn load(adapter: &Path, args: &InferenceArgs) -> Result<Self> {
        let header = native::read_header(adapter)?;
        let name = args.base.as_deref().unwrap_or(&header.metadata.base.name);
        let base = Base::locate(name)
            .with_context(|| format!("locating the base of {}", adapter.display()))?;
        let device = devices::resolve(&args.device)?;
        let bert_config = BertConfig::from_json_file(&base.directory().join("config.json"))?;
        let bert = burn_bert::load_weights(&bert_config, base.directory(), &device)?;
        let (model, metadata) = native::load(adapter, bert, &base.fingerprint()?)?;
        let encoder = TextEncoder::from_directory(base.directory(), metadata.max_length)?;
        let task = task_of(&metadata)?;
        let tuner = Tuner { model };
        Ok(Self {
            metadata,
            task,
            tuner,
            encoder,
            bert_config,
            device,
            batch_size: args.batch_size.max(1),
        })
    }

    /// The rows with their logits, in their order.
    ///
    /// # Errors
    /// A text that cannot be tokenized.
    pub fn answer(&self, examples: &[Example]) -> Result<Vec<ScoredRow>> {
        let encoded = rows::encode(&self.encoder, &self.bert_config, examples)?;
        Ok(run(&self.tuner, &encoded, self.batch_size, &self.device))
    }
}

/// Sends rows through a model; they come back in their order.
pub fn run(
    tuner: &Tuner,
    encoded: &EncodedRows,
    batch_size: usize,
    device: &Device,
) -> Vec<ScoredRow> {
    let batches = scoring_batches(&encoded.lengths(), batch_size);
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(encoded.rows().len() as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {eta} left") {
        bar.set_style(style);
    }
    let mut scored = vec![None; encoded.rows().len()];
    for indices in batches {
        let batch = rows::batch(encoded, &indices, device);
        let output = tuner.forward(&batch).read(&batch.labels);
        bar.inc(indices.len() as u64);
        for (index, row) in indices.into_iter().zip(output.scored) {
            scored[index] = Some(row);
        }
    }
    bar.finish_and_clear();
    // A scoring pass sees every row once.
    scored.into_iter().flatten().collect()
}

/// The task an adapter was trained on; its metrics are the table's where the table has it.
fn task_of(metadata: &AdapterMetadata) -> Result<Task> {
    let labels = match &metadata.head {
        HeadKind::Classification { labels } => Labels::Classes(labels.clone()),
        HeadKind::Regression => Labels::Score,
        HeadKind::Span => bail!(
            "this adapter finds answers in paragraphs and has no label for a text; it is judged while it is trained"
        ),
    };
    let metrics = match tasks::lookup(&metadata.task) {
        Ok(spec) if spec.task().labels == labels => spec.metrics.to_vec(),
        _ if labels == Labels::Score => vec![Metric::Spearman, Metric::Pearson],
        _ => vec![Metric::Accuracy, Metric::MacroF1],
    };
    Ok(Task { name: metadata.task.clone(), labels, metrics })
}
