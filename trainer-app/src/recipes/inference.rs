//! An adapter file on its base, and rows through both: what scoring and predicting share.

use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor};
use burn_adapters::HeadKind;
use burn_adapters::compose::without::ablate_spans;
use burn_adapters::file::native::{self, AdapterMetadata};
use burn_bert::BertConfig;
use glue_data::order::scoring_batches;
use glue_data::{EncodedRows, Example, Labels, Metric, Split, Task, TextEncoder, tasks};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::Base;
use crate::cli::InferenceArgs;
use crate::devices;
use crate::learner::step::{Forward, ScoredRow, Tuner, bert_input};
use crate::rows;

/// The rows without what is inserted in a span of layers, or in none.
pub type SpanRows = (Option<Range<usize>>, Vec<ScoredRow>);

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

    /// Whether the adapter inserts anything anywhere.
    pub fn inserts(&self) -> bool {
        self.tuner.model.task.config().plan.inserts()
    }

    /// The rows of a part of the adapter's task.
    ///
    /// # Errors
    /// A part nobody knows, a task that is in no table, or files that cannot be read.
    pub fn read_split(&self, split: &str, data: Option<&Path>) -> Result<Vec<Example>> {
        let Some(split) = Split::ALL.into_iter().find(|known| known.name() == split) else {
            let names = Split::ALL.map(Split::name).join(", ");
            bail!("there is no split `{split}`; choose one of {names}");
        };
        let spec = tasks::lookup(&self.metadata.task).context(
            "this adapter was trained on rows of one's own: `evaluate` them with --input, --text and --label",
        )?;
        Ok(spec.read(data, split)?)
    }

    /// The rows with their logits for the adapter as it is (`None`) and without what it inserts in every span of
    /// layers.
    ///
    /// # Errors
    /// A text that cannot be tokenized.
    pub fn answer_without_spans(&self, examples: &[Example]) -> Result<Vec<SpanRows>> {
        let encoded = rows::encode(&self.encoder, &self.bert_config, examples)?;
        let mut spans = vec![(None, run(&self.tuner, &encoded, self.batch_size, &self.device))];
        let batches = scoring_batches(&encoded.lengths(), self.batch_size);
        let bar = rows_bar(encoded.rows().len());
        for indices in batches {
            let batch = rows::batch(&encoded, &indices, &self.device);
            let mut place = 1;
            ablate_spans(&self.tuner.model, &bert_input(&batch), |span, logits| {
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
        Ok(spans)
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
    let bar = rows_bar(encoded.rows().len());
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

/// A bar for so many rows, on a terminal.
pub(crate) fn rows_bar(rows: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(rows as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {eta} left") {
        bar.set_style(style);
    }
    bar
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
