//! A task's rows, read and tokenized for a base: what the recipes share.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::data::dataloader::batcher::Batcher;
use burn::tensor::Device;
use burn_bert::BertConfig;
use glue_data::tasks::custom::{CustomFiles, Note};
use glue_data::{
    Batch, Example, Label, Labels, PadToLongest, Prediction, Split, Task, TextEncoder,
    TokenizedDataset, tasks,
};
use serde_json::{Map, Value};

use crate::devices;
use crate::learner::step::ScoredRow;
use crate::run_config::{RunConfig, TaskConfig};
use crate::task_data::fingerprint;

/// A task with its rows as they were read.
#[derive(Debug)]
pub struct TaskRows {
    /// What is predicted and how that is judged.
    pub task: Task,
    /// Rows to learn from.
    pub train: Vec<Example>,
    /// Rows to choose by.
    pub validation: Vec<Example>,
    /// Labeled rows to be judged by, of every part there is besides: test rows, MNLI's other validation rows.
    pub eval_splits: Vec<(Split, Vec<Example>)>,
    /// What is allowed in one's own files and may not be intended.
    pub notes: Vec<Note>,
    /// SHA-256 of all of them, before any limit; none for rows of one's own, of which the seed holds some out.
    pub fingerprint: Option<String>,
}

impl TaskRows {
    /// Reads what a run asks for.
    ///
    /// # Errors
    /// A task nobody knows, or files that are missing or malformed.
    pub fn read(config: &RunConfig) -> Result<Self> {
        let mut rows = if config.task.custom.is_some() {
            Self::read_custom(&config.task, config.seed)?
        } else {
            let rows = Self::read_named(&config.task.name, config.task.data.as_deref())?;
            Self { fingerprint: Some(fingerprint::of_rows(&rows)), ..rows }
        };
        if let Some(limit) = config.task.limit {
            rows.limit(limit, config.seed);
        }
        Ok(rows)
    }

    fn read_named(name: &str, data: Option<&Path>) -> Result<Self> {
        let spec = tasks::lookup(name)?;
        if !spec.has(Split::Train) {
            bail!("{name} has no training rows: train mnli, and predict {name} with its adapter");
        }
        // GLUE keeps its test labels to itself; only rows whose labels are known are scored.
        let is_labeled = |split: &Split| spec.part(*split).is_ok_and(|part| part.label.is_some());
        let eval_splits = [Split::ValidationMismatched, Split::Test].into_iter().filter(is_labeled);
        Ok(Self {
            task: spec.task_in(data)?,
            train: spec.read(data, Split::Train)?,
            validation: spec.read(data, Split::Validation)?,
            eval_splits: eval_splits
                .map(|split| Ok((split, spec.read(data, split)?)))
                .collect::<Result<_>>()?,
            notes: Vec::new(),
            fingerprint: None,
        })
    }

    fn read_custom(config: &TaskConfig, seed: u64) -> Result<Self> {
        let custom = config.custom.as_ref().context("the task has no files of its own")?;
        let files = CustomFiles {
            name: config.name.clone(),
            train: custom.train.clone(),
            validation: custom.validation.clone(),
            test: custom.test.clone(),
            text: custom.text.clone(),
            text2: custom.text2.clone(),
            label: custom.label.clone(),
            score: custom.score,
        };
        let read = files.read(seed)?;
        Ok(Self {
            task: read.task,
            train: read.train,
            validation: read.validation,
            eval_splits: match read.test {
                test if test.is_empty() => Vec::new(),
                test => vec![(Split::Test, test)],
            },
            notes: read.notes,
            fingerprint: None,
        })
    }

    /// Keeps some training rows, drawn by the seed.
    fn limit(&mut self, rows: usize, seed: u64) {
        let kept = draw(self.train.len(), rows, seed);
        self.train = kept.into_iter().map(|row| self.train[row].clone()).collect();
    }

    /// A line that says what was read, and one for each note on it.
    pub fn describe(&self) -> String {
        let kind = match &self.task.labels {
            Labels::Classes(names) => format!("{} classes", names.len()),
            Labels::Score => "a score".to_owned(),
        };
        let mut parts =
            vec![(Split::Train, self.train.len()), (Split::Validation, self.validation.len())];
        parts.extend(self.eval_splits.iter().map(|(split, rows)| (*split, rows.len())));
        let parts: Vec<String> =
            parts.into_iter().map(|(split, rows)| format!("{rows} {}", split.name())).collect();
        let mut notes: String = self.notes.iter().map(|note| format!("\nnote: {note}")).collect();
        let unseen = self.classes_without_rows();
        if !unseen.is_empty() {
            notes += "\nnote: no training row has the label ";
            notes += &unseen.join(", ");
        }
        format!(
            "task {}: rows {}; {kind}, judged by {}{notes}",
            self.task.name,
            parts.join(", "),
            self.task.metric().name()
        )
    }
}

impl TaskRows {
    /// Classes of which there is no training row: --limit may have left them out.
    fn classes_without_rows(&self) -> Vec<&str> {
        let Labels::Classes(names) = &self.task.labels else { return Vec::new() };
        let mut is_seen = vec![false; names.len()];
        for example in &self.train {
            if let Some(Label::Class(class)) = example.label {
                is_seen[class] = true;
            }
        }
        let names = names.iter().map(String::as_str).zip(is_seen);
        names.filter(|(_, is_seen)| !is_seen).map(|(name, _)| name).collect()
    }
}

/// So many of `rows` rows, drawn by the seed, in their order.
pub fn draw(rows: usize, limit: usize, seed: u64) -> Vec<usize> {
    let seed = glue_data::derive_seed(seed, "limit");
    let order = glue_data::batching::training_batches(&vec![0; rows], 1, seed, 0);
    let mut kept: Vec<usize> = order.into_iter().flatten().take(limit).collect();
    kept.sort_unstable();
    kept
}

/// Tokenizes rows and makes sure that the base has an embedding for everything in them.
///
/// # Errors
/// A text that cannot be tokenized, or a tokenizer that is not the base's.
pub fn encode(
    encoder: &TextEncoder,
    bert: &BertConfig,
    examples: &[Example],
) -> Result<TokenizedDataset> {
    let rows = encoder.encode(examples)?;
    check(bert, &rows)?;
    Ok(rows)
}

/// Makes sure that a base has an embedding for everything in some rows.
///
/// # Errors
/// A token, a position or a type that the base does not have.
pub fn check(bert: &BertConfig, rows: &TokenizedDataset) -> Result<()> {
    for row in rows.rows() {
        bert.check_text(&row.ids, &row.type_ids).context("the tokenizer does not fit the base")?;
    }
    Ok(())
}

/// Says how many texts are cut at the longest that an adapter reads; nothing where all fit.
pub fn report_truncation(cut: usize, texts: usize, max_length: usize) {
    if cut > 0 {
        noteln!(
            "note: {cut} of {texts} texts are longer than the adapter's {max_length} tokens and are cut"
        );
    }
}

/// A note on texts that are cut before they are trained on; none where all fit.
pub fn truncation_note(
    rows: [&TokenizedDataset; 2],
    max_length: usize,
    bert: &BertConfig,
) -> Option<String> {
    let cut: usize = rows.iter().map(|rows| rows.cut()).sum();
    let texts: usize = rows.iter().map(|rows| rows.rows().len()).sum();
    let longest = bert.max_position_embeddings;
    let remedy = if max_length < longest {
        format!("--max-length takes {longest} at most")
    } else {
        "the base reads no more".to_owned()
    };
    (cut > 0).then(|| {
        format!(
            "note: {cut} of {texts} texts are longer than {max_length} tokens and are cut; {remedy}"
        )
    })
}

/// Some rows as a batch on a device.
pub fn batch(rows: &TokenizedDataset, indices: &[usize], device: &Device) -> Batch {
    let items = indices.iter().map(|index| rows.rows()[*index].clone()).collect();
    let padding = PadToLongest {
        length_step: devices::length_step(device),
        at_most: rows.longest(),
        ..PadToLongest::default()
    };
    padding.batch(items, device)
}

/// The scores of rows whose labels are known; none when there are no such rows.
pub fn scores<'a>(
    task: &Task,
    rows: impl Iterator<Item = &'a ScoredRow>,
) -> Option<Map<String, Value>> {
    score_predictions(
        task,
        rows.filter_map(|row| Some((task.labels.predict(&row.logits), row.label?))),
    )
}

/// The scores of predictions beside what was expected; none when there are no such.
pub fn score_predictions(
    task: &Task,
    judged: impl Iterator<Item = (Prediction, Label)>,
) -> Option<Map<String, Value>> {
    let (predictions, labels): (Vec<Prediction>, Vec<Label>) = judged.unzip();
    (!labels.is_empty()).then(|| {
        let scores = task.scores(&predictions, &labels);
        scores
            .into_iter()
            .map(|(metric, score)| (metric.name().to_owned(), Value::from(score)))
            .collect()
    })
}
