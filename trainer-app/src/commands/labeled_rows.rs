//! The labeled rows on which `trainer evaluate` and `trainer ablate` evaluate an adapter.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn_adapters::HeadKind;
use burn_adapters::file::native::{self, AdapterMetadata, DataSource};
use glue_data::tagging::{Mode, Scheme, TaggedText, is_conll, parse_tag};
use glue_data::tasks::{custom, entities};
use glue_data::{Example, TaskKind};

use crate::cli::LabeledRowsArgs;
use crate::commands::texts;
use crate::exit::UsageError;
use crate::inference::adapter_task::{self, AdapterTask};
use crate::inference::predictor::Predictor;
use crate::run_config::label_columns;
use crate::task_data::data_set::PreparedSplit;
use crate::task_data::rows;
use crate::task_data::tagged_data::read_labeled;
use crate::task_data::tags::EntityEvaluator;

/// Labeled rows, and what scores them.
pub(super) struct LabeledRows {
    /// What they are, for messages: a split or a file.
    pub(super) name: String,
    rows: Rows,
}

enum Rows {
    /// Each text has a label.
    Texts { task: AdapterTask, texts: Vec<Example> },
    /// Each word has a tag.
    Words { labels: Vec<String>, texts: Vec<TaggedText>, mode: Mode },
}

impl LabeledRows {
    /// Reads the rows; `strict` is whether only complete entities count.
    ///
    /// # Errors
    /// An adapter file or rows that cannot be read, rows that are not of the adapter's task, or flags without effect.
    pub(super) fn read(args: &LabeledRowsArgs, adapter: &Path, strict: bool) -> Result<Self> {
        let metadata = native::read_header(adapter)?.metadata;
        match &metadata.head {
            HeadKind::TokenClassification { labels } => {
                let mode = if strict { Mode::Strict(scheme_of(labels)?) } else { Mode::Default };
                Self::of_words(args, &metadata, labels.clone(), mode)
            }
            _ => Self::of_texts(args, &metadata, strict),
        }
    }

    fn of_texts(args: &LabeledRowsArgs, metadata: &AdapterMetadata, strict: bool) -> Result<Self> {
        let words = &args.words;
        let given = [
            ("--strict", strict),
            ("--tokens", words.tokens.is_some()),
            ("--tags", words.tags.is_some()),
            ("--entities", words.entities.is_some()),
        ];
        refuse(&given, "the adapter does not label words")?;
        if let Some(path) = &args.input {
            if is_conll(path) {
                return Err(UsageError::new(format!(
                    "{} has a tag for each word, and the adapter predicts {} for a text; expected a .csv, .tsv or .jsonl \
                     file with --text COL and --label COL",
                    path.display(),
                    metadata.head
                )));
            }
            let text = args.columns.text.as_deref().context("--input needs --text COL")?;
            texts::input_of_columns(&args.columns, metadata.input)?;
            let task = AdapterTask::of(metadata)?;
            let text2 = args.columns.text2.as_deref();
            let labels =
                label_columns(args.label.as_deref(), args.label_separator.as_deref(), &args.labels);
            let (texts, note) = custom::read_labeled(path, text, text2, &labels, &task.task.kind)?;
            if let Some(note) = note {
                noteln!("note: {note}");
            }
            return Ok(Self {
                name: path.display().to_string(),
                rows: Rows::Texts { task, texts },
            });
        }
        let task = AdapterTask::of_published(metadata, args.task.as_deref())?;
        let texts = task.read(&args.split, args.data.as_deref())?;
        Ok(Self { name: args.split.clone(), rows: Rows::Texts { task, texts } })
    }

    fn of_words(
        args: &LabeledRowsArgs,
        metadata: &AdapterMetadata,
        labels: Vec<String>,
        mode: Mode,
    ) -> Result<Self> {
        let given = [("--label", args.label.is_some()), ("--text2", args.columns.text2.is_some())];
        refuse(&given, "the adapter labels words")?;
        let Some(path) = &args.input else {
            let texts = published_texts(args, metadata, &labels)?;
            return Ok(Self {
                name: args.split.clone(),
                rows: Rows::Words { labels, texts, mode },
            });
        };
        let mut notes = Vec::new();
        let columns = args.words.columns(args.columns.text.as_ref());
        let texts = read_labeled(path, &columns, &labels, &mut notes)?;
        notes.iter().for_each(|note| noteln!("note: {note}"));
        Ok(Self { name: path.display().to_string(), rows: Rows::Words { labels, texts, mode } })
    }

    /// The number of texts.
    pub(super) fn len(&self) -> usize {
        match &self.rows {
            Rows::Texts { texts, .. } => texts.len(),
            Rows::Words { texts, .. } => texts.len(),
        }
    }

    /// Keeps the first texts, at most `limit`.
    pub(super) fn truncate(&mut self, limit: usize) {
        match &mut self.rows {
            Rows::Texts { texts, .. } => texts.truncate(limit),
            Rows::Words { texts, .. } => texts.truncate(limit),
        }
    }

    /// The rows as tokens of an adapter's base.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub(super) fn prepare(&self, predictor: &Predictor) -> Result<PreparedSplit> {
        Ok(match &self.rows {
            Rows::Texts { task, texts } => {
                PreparedSplit { rows: predictor.encode(texts)?, evaluator: Arc::new(task.clone()) }
            }
            Rows::Words { labels, texts, mode } => {
                let windows = predictor.windows(texts)?;
                let rows = windows.rows().clone();
                let (labels, texts, mode) = (labels.clone(), texts.clone(), *mode);
                let evaluator = Arc::new(EntityEvaluator { labels, texts, windows, mode });
                PreparedSplit { rows, evaluator }
            }
        })
    }

    /// Prints how many texts are longer than the adapter's maximum length, if any.
    pub(super) fn report_long(&self, cut: usize, max_length: usize) {
        match &self.rows {
            Rows::Texts { texts, .. } => rows::report_truncation(cut, texts.len(), max_length),
            Rows::Words { .. } => {
                if let Some(note) = rows::window_note(cut, max_length) {
                    noteln!("{note}");
                }
            }
        }
    }
}

/// The texts of a split of a published task of entities, with the adapter's labels.
///
/// # Errors
/// If no task is named and the adapter was trained on texts of the user's own, the labels differ, or a file cannot be read.
fn published_texts(
    args: &LabeledRowsArgs,
    metadata: &AdapterMetadata,
    labels: &[String],
) -> Result<Vec<TaggedText>> {
    let is_own = metadata.data == Some(DataSource::Own);
    let name = args.task.as_deref().or((!is_own).then_some(metadata.task.as_str()));
    let Some(task) = name.and_then(entities::find) else {
        let names: Vec<&str> = entities::all().map(|task| task.name).collect();
        return Err(UsageError::new(format!(
            "the adapter labels words: score it on texts of your own with --input FILE, or on those of a published task \
             with --task, which is one of {}",
            names.join(", ")
        )));
    };
    if task.source.is_none() && args.data.is_some() {
        return Err(UsageError::new(format!(
            "--data has no effect: the rows of {} are part of the program; leave it out",
            task.name
        )));
    }
    let kind = |labels: &[String]| TaskKind::TokenClassification { labels: labels.to_vec() };
    let Some(permutation) = kind(&task.labels()).permutation_to(&kind(labels)) else {
        return Err(UsageError::new(format!(
            "the adapter has the labels {}, but the published task {} has {}; labels are matched by name",
            labels.join(", "),
            task.name,
            task.labels().join(", ")
        )));
    };
    let split = adapter_task::split_named(&args.split)?;
    let mut texts = task.read(args.data.as_deref(), split)?;
    for tag in texts.iter_mut().flat_map(|text| text.tags.iter_mut().flatten()) {
        *tag = permutation[*tag];
    }
    Ok(texts)
}

/// Refuses flags without effect; each comes with whether it was given.
fn refuse(flags: &[(&str, bool)], why: &str) -> Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            Err(UsageError::new(format!("{flag} has no effect: {why}; leave out {flag}")))
        }
        None => Ok(()),
    }
}

/// The scheme of the tags that an adapter predicts.
fn scheme_of(labels: &[String]) -> Result<Scheme> {
    let tags: Result<Vec<(char, &str)>, _> = labels.iter().map(|label| parse_tag(label)).collect();
    let tags = tags.context("--strict needs tags of a scheme, such as B-person and I-person")?;
    let has = |prefix: char| tags.iter().any(|(found, _)| *found == prefix);
    Ok(match (has('E') || has('S'), has('B')) {
        _ if has('L') || has('U') => bail!("--strict does not read tags of BILOU (L-, U-)"),
        (true, _) => Scheme::Bioes,
        (false, true) => Scheme::Bio,
        (false, false) => Scheme::Io,
    })
}
