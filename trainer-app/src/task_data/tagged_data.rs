//! Texts with a tag for each word as the data of a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use burn_adapters::file::native::TextInput;
use burn_bert::BertConfig;
use glue_data::tagging::{
    Mode, TagColumns, TaggedRows, TaggedText, WordWindows, hold_out, majority_tags, word_tags,
};
use glue_data::tasks::entities;
use glue_data::{Split, TaskKind, TextEncoder, counted};

use super::data_set::{Baselines, PreparedData, PreparedSplit, TaskData};
use super::evaluator::Evaluator;
use super::tags::{EntityEvaluator, main_scores, scores_of_tags};
use super::{fingerprint, rows};
use crate::run_config::{RunConfig, TaggedTaskConfig};

/// Texts with their tags, as they were read.
#[derive(Debug)]
pub(super) struct TaggedData {
    name: String,
    /// The names of the tags, sorted.
    labels: Vec<String>,
    train: Vec<TaggedText>,
    validation: Vec<TaggedText>,
    /// The labeled texts of other splits.
    eval_splits: Vec<(Split, Vec<TaggedText>)>,
    /// Warnings about the files.
    notes: Vec<String>,
    /// SHA-256 of all texts, before any limit; none for a user's own, some of which are held out by the seed.
    fingerprint: Option<String>,
}

impl TaggedData {
    /// Reads the texts of a run.
    ///
    /// # Errors
    /// If the task is unknown, or a file is missing or malformed.
    pub(super) fn read(config: &RunConfig) -> Result<Self> {
        let name = config.task.name.clone();
        let mut data = match &config.task.tagged {
            Some(files) => Self::read_own(name, files, config.seed)?,
            None => Self::read_published(name, config.task.data.as_deref())?,
        };
        if let Some(limit) = config.task.limit {
            let kept = rows::sample(data.train.len(), limit, config.seed);
            data.train = kept.into_iter().map(|text| data.train[text].clone()).collect();
        }
        Ok(data)
    }

    fn read_published(name: String, data: Option<&Path>) -> Result<Self> {
        let task = entities::find(&name).context("the task labels no words")?;
        let read = |split| task.read(data, split);
        let (train, validation) = (read(Split::Train)?, read(Split::Validation)?);
        let test = task.has(Split::Test).then(|| read(Split::Test)).transpose()?;
        let eval_splits: Vec<_> = test.map(|texts| (Split::Test, texts)).into_iter().collect();
        let labels = task.labels();
        let others = eval_splits.iter().map(|(_, texts)| texts);
        let splits = [&train, &validation].into_iter().chain(others);
        let fingerprint = Some(fingerprint::of_tagged(&labels, splits));
        let counts = [(Split::Train, train.len()), (Split::Validation, validation.len())];
        let others = eval_splits.iter().map(|(split, texts)| (*split, texts.len()));
        let notes = counts.into_iter().chain(others).filter_map(|(split, found)| {
            let published = task.part(split).ok()?.texts;
            (found != published).then(|| {
                format!(
                    "the {} split has {found} texts, the published file has {published}",
                    split.name()
                )
            })
        });
        let notes = notes.collect();
        Ok(Self { name, labels, train, validation, eval_splits, notes, fingerprint })
    }

    fn read_own(name: String, files: &TaggedTaskConfig, seed: u64) -> Result<Self> {
        let columns = files.columns();
        let mut notes = Vec::new();
        let train = TaggedRows::read(&files.train, &columns)?;
        notes.extend(train.notes.iter().map(ToString::to_string));
        let labels = train.labels()?;
        let train = train.with_labels(&labels)?;
        let mut read = |path: &Path| read_labeled(path, &columns, &labels, &mut notes);
        let validation = files.validation.as_deref().map(&mut read).transpose()?;
        let test = files.test.as_deref().map(&mut read).transpose()?;
        let (train, validation) = match validation {
            Some(texts) => (train, texts),
            None => hold_out(&files.train, train, seed)?,
        };
        let eval_splits = test.map(|texts| (Split::Test, texts)).into_iter().collect();
        Ok(Self { name, labels, train, validation, eval_splits, notes, fingerprint: None })
    }
}

/// Reads tagged texts of a file that is not the training file.
///
/// # Errors
/// If the file is malformed, has no entities, or has a tag that is not one of the labels.
pub fn read_labeled(
    path: &Path,
    columns: &TagColumns,
    labels: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<TaggedText>> {
    let rows = TaggedRows::read(path, columns)?;
    rows.check_entities()?;
    notes.extend(rows.notes.iter().map(ToString::to_string));
    Ok(rows.with_labels(labels)?)
}

impl TaskData for TaggedData {
    fn describe(&self) -> String {
        let mut splits =
            vec![(Split::Train, self.train.len()), (Split::Validation, self.validation.len())];
        splits.extend(self.eval_splits.iter().map(|(split, texts)| (*split, texts.len())));
        let splits: Vec<String> =
            splits.into_iter().map(|(split, texts)| format!("{texts} {}", split.name())).collect();
        let types = self.labels.iter().filter_map(|label| Some(label.split_once('-')?.1));
        let types: BTreeSet<&str> = types.collect();
        let notes: String = self.notes.iter().map(|note| format!("\nnote: {note}")).collect();
        format!(
            "task {}: texts {}; {}, metric {}{notes}",
            self.name,
            splits.join(", "),
            counted(types.len(), "type of entities", "types of entities"),
            entities::METRICS[0]
        )
    }

    fn kind(&self) -> TaskKind {
        TaskKind::TokenClassification { labels: self.labels.clone() }
    }

    fn input(&self) -> Option<TextInput> {
        Some(TextInput::Single)
    }

    fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    fn prepare(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
        _max_length: usize,
    ) -> Result<PreparedData> {
        let train = WordWindows::cut(&self.train, encoder)?.rows().clone();
        ensure!(!train.rows().is_empty(), "no word of the training texts has a token");
        rows::check(bert, &train)?;
        let PreparedSplit { rows: validation, evaluator } =
            prepare_split(&self.validation, &self.labels, encoder, bert)?;
        ensure!(!validation.rows().is_empty(), "no word of the validation texts has a token");
        Ok(PreparedData { train, validation, evaluator })
    }

    fn prepare_eval_splits(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
    ) -> Result<Vec<(Split, PreparedSplit)>> {
        let splits = self.eval_splits.iter();
        splits
            .map(|(split, texts)| Ok((*split, prepare_split(texts, &self.labels, encoder, bert)?)))
            .collect()
    }

    fn baselines(&self) -> Baselines {
        let score = |predicted: Vec<Vec<usize>>| {
            let scores = scores_of_tags(&self.validation, &predicted, &self.labels);
            main_scores(&scores).get(entities::METRICS[0])?.as_f64()
        };
        Baselines {
            majority: majority_tags(&self.train, &self.validation).and_then(score),
            bag_of_words: None,
            word_tags: word_tags(&self.train, &self.validation).and_then(score),
        }
    }
}

fn prepare_split(
    texts: &[TaggedText],
    labels: &[String],
    encoder: &TextEncoder,
    bert: &BertConfig,
) -> Result<PreparedSplit> {
    let windows = WordWindows::cut(texts, encoder)?;
    let rows = windows.rows().clone();
    rows::check(bert, &rows)?;
    let (texts, labels) = (texts.to_vec(), labels.to_vec());
    let evaluator: Arc<dyn Evaluator> =
        Arc::new(EntityEvaluator { labels, texts, windows, mode: Mode::Default });
    Ok(PreparedSplit { rows, evaluator })
}
