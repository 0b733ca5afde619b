//! Texts with a label each as the data of a run: published tasks, and a user's own files.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn_adapters::file::native::TextInput;
use burn_bert::BertConfig;
use glue_data::tasks::custom::CustomFiles;
use glue_data::{Example, Label, Split, Task, TaskKind, TextEncoder, baseline, counted, tasks};

use super::data_set::{Baselines, PreparedData, PreparedSplit, TaskData};
use super::{evaluator, fingerprint, rows};
use crate::run_config::{RunConfig, TaskConfig};

/// A task with its rows, as they were read.
#[derive(Debug)]
pub(super) struct TextData {
    task: Task,
    train: Vec<Example>,
    validation: Vec<Example>,
    /// The labeled rows of other splits: test rows, MNLI's mismatched validation rows.
    eval_splits: Vec<(Split, Vec<Example>)>,
    /// Warnings about the files.
    notes: Vec<String>,
    /// SHA-256 of all rows, before any limit; none for a user's own rows, some of which are held out by the seed.
    fingerprint: Option<String>,
}

impl TextData {
    /// Reads the rows of a run.
    ///
    /// # Errors
    /// If the task is unknown, or a file is missing or malformed.
    pub(super) fn read(config: &RunConfig) -> Result<Self> {
        let mut rows = if config.task.custom.is_some() {
            Self::read_custom(&config.task, config.seed)?
        } else {
            Self::read_published(&config.task.name, config.task.data.as_deref())?
        };
        if let Some(limit) = config.task.limit {
            rows.limit(limit, config.seed);
        }
        Ok(rows)
    }

    fn read_published(name: &str, data: Option<&Path>) -> Result<Self> {
        let spec = tasks::lookup(name)?;
        if !spec.has(Split::Train) {
            bail!("{name} has no training rows: train mnli, and predict {name} with its adapter");
        }
        // GLUE does not publish its test labels; only labeled splits are scored.
        let is_labeled = |split: &Split| spec.part(*split).is_ok_and(|part| part.label.is_some());
        let eval_splits = [Split::ValidationMismatched, Split::Test].into_iter().filter(is_labeled);
        let (task, train) = (spec.task_in(data)?, spec.read(data, Split::Train)?);
        let validation = spec.read(data, Split::Validation)?;
        let eval_splits: Vec<_> =
            eval_splits.map(|split| Ok((split, spec.read(data, split)?))).collect::<Result<_>>()?;
        let splits =
            [&train, &validation].into_iter().chain(eval_splits.iter().map(|(_, rows)| rows));
        let fingerprint = Some(fingerprint::of_rows(&task.kind, splits));
        let counts = [(Split::Train, train.len()), (Split::Validation, validation.len())];
        let counts = counts.into_iter().chain(eval_splits.iter().map(|(s, rows)| (*s, rows.len())));
        let notes =
            counts.filter_map(|(split, rows)| spec.part(split).ok()?.row_count_note(spec, rows));
        let notes = notes.collect();
        Ok(Self { task, train, validation, eval_splits, notes, fingerprint })
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
            labels: custom.label_columns(),
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
            notes: read.notes.iter().map(ToString::to_string).collect(),
            fingerprint: None,
        })
    }

    /// Keeps some training rows, sampled by the seed.
    fn limit(&mut self, rows: usize, seed: u64) {
        let kept = rows::sample(self.train.len(), rows, seed);
        self.train = kept.into_iter().map(|row| self.train[row].clone()).collect();
    }

    /// Classes without a training row; --limit may have left them out.
    fn classes_without_rows(&self) -> Vec<&str> {
        let labels = self.task.kind.labels().unwrap_or_default();
        let seen: HashSet<usize> = self
            .train
            .iter()
            .filter_map(|row| row.label.as_ref())
            .flat_map(|label| label.classes().iter().copied())
            .collect();
        let unseen = labels.iter().enumerate().filter(|(class, _)| !seen.contains(class));
        unseen.map(|(_, name)| name.as_str()).collect()
    }
}

impl TaskData for TextData {
    fn describe(&self) -> String {
        let kind = match &self.task.kind {
            TaskKind::Classification { labels } => format!("{} classes", labels.len()),
            TaskKind::MultiLabel { labels } => {
                format!("any of {} a row", counted(labels.len(), "label", "labels"))
            }
            _ => "a score".to_owned(),
        };
        let mut splits =
            vec![(Split::Train, self.train.len()), (Split::Validation, self.validation.len())];
        splits.extend(self.eval_splits.iter().map(|(split, rows)| (*split, rows.len())));
        let splits: Vec<String> =
            splits.into_iter().map(|(split, rows)| format!("{rows} {}", split.name())).collect();
        let mut notes: String = self.notes.iter().map(|note| format!("\nnote: {note}")).collect();
        let unseen = self.classes_without_rows();
        if !unseen.is_empty() {
            notes += "\nnote: no training row has the label ";
            notes += &unseen.join(", ");
        }
        format!(
            "task {}: rows {}; {kind}, metric {}{notes}",
            self.task.name,
            splits.join(", "),
            self.task.metric().name()
        )
    }

    fn kind(&self) -> TaskKind {
        self.task.kind.clone()
    }

    fn input(&self) -> Option<TextInput> {
        let has_pairs = self.train.iter().any(|row| row.text2.is_some());
        Some(if has_pairs { TextInput::Pair } else { TextInput::Single })
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
        Ok(PreparedData {
            train: rows::encode(encoder, bert, &self.train)?,
            validation: rows::encode(encoder, bert, &self.validation)?,
            evaluator: Arc::new(self.task.clone()),
        })
    }

    fn prepare_eval_splits(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
    ) -> Result<Vec<(Split, PreparedSplit)>> {
        let splits = self.eval_splits.iter().map(|(split, examples)| {
            let rows = rows::encode(encoder, bert, examples)?;
            Ok((*split, PreparedSplit { rows, evaluator: Arc::new(self.task.clone()) }))
        });
        splits.collect()
    }

    fn baselines(&self) -> Baselines {
        let score = |predictions: Vec<Label>| {
            let labels = self.validation.iter().map(|row| row.label.clone());
            let scores = evaluator::scores(&self.task, predictions.into_iter().zip(labels))?;
            scores.get(self.task.metric().name())?.as_f64()
        };
        // The correlations of a constant, such as the mean score, are 0 by definition.
        let has_classes = self.task.kind.labels().is_some();
        let majority =
            has_classes.then(|| baseline::majority(&self.train, self.validation.len())).flatten();
        let bag_of_words = baseline::bag_of_words(&self.train, &self.validation);
        Baselines {
            majority: majority.and_then(score),
            bag_of_words: bag_of_words.and_then(score),
            word_tags: None,
        }
    }
}
