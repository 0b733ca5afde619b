//! What a run is about: texts with a label each, or questions about paragraphs.

pub mod evaluator;
pub mod fingerprint;
pub mod rows;

use anyhow::{Result, ensure};
use burn_adapters::HeadKind;
use burn_adapters::file::native::TextInput;
use burn_bert::BertConfig;
use glue_data::tasks::squad::{self, Squad, WindowConfig, Windows};
use glue_data::{Labels, Split, TextEncoder, TokenizedDataset};

use crate::run_config::{RunConfig, TaskConfig};
use crate::task_data::evaluator::{Evaluator, SquadEvaluator};
use crate::task_data::rows::TaskRows;

/// What a run reads.
#[derive(Debug)]
pub enum TaskData {
    /// Rows with a label each.
    Texts(TaskRows),
    /// SQuAD.
    Questions(Questions),
}

/// The questions of SQuAD.
#[derive(Debug)]
pub struct Questions {
    /// To learn from.
    pub train: Squad,
    /// To choose by.
    pub validation: Squad,
    /// SHA-256 of both, before any limit.
    pub fingerprint: String,
}

/// What a run works with.
#[derive(Debug)]
pub struct PreparedData {
    /// Rows to learn from.
    pub train: TokenizedDataset,
    /// Rows to choose by.
    pub validation: TokenizedDataset,
    /// How those are judged.
    pub evaluator: Evaluator,
}

/// Whether a task is questions about paragraphs.
pub fn is_question_answering(task: &TaskConfig) -> bool {
    task.custom.is_none() && task.name == squad::NAME
}

impl TaskData {
    /// Reads what a run asks for.
    ///
    /// # Errors
    /// A task nobody knows, or files that are missing or malformed.
    pub fn read(config: &RunConfig) -> Result<Self> {
        if !is_question_answering(&config.task) {
            return Ok(Self::Texts(TaskRows::read(config)?));
        }
        let data = config.task.data.as_deref();
        let mut train = Squad::read_part(data, Split::Train)?;
        let validation = Squad::read_part(data, Split::Validation)?;
        let fingerprint = fingerprint::of_questions([&train, &validation]);
        if let Some(limit) = config.task.limit {
            let kept = rows::draw(train.questions.len(), limit, config.seed);
            train.questions = kept.into_iter().map(|row| train.questions[row].clone()).collect();
        }
        Ok(Self::Questions(Questions { train, validation, fingerprint }))
    }

    /// A line that says what was read.
    pub fn describe(&self) -> String {
        match self {
            Self::Texts(rows) => rows.describe(),
            Self::Questions(Questions { train, validation, .. }) => format!(
                "task squad: questions {} train ({} answers misplaced), {} validation; judged by f1",
                train.questions.len(),
                train.misplaced_answers(),
                validation.questions.len()
            ),
        }
    }

    /// Whether texts are read alone or in pairs; a question and its paragraph are neither.
    pub fn input(&self) -> Option<TextInput> {
        match self {
            Self::Texts(rows) if rows.train.iter().any(|row| row.text2.is_some()) => {
                Some(TextInput::Pair)
            }
            Self::Texts(_) => Some(TextInput::Single),
            Self::Questions(_) => None,
        }
    }

    /// SHA-256 of the published rows, before any limit; none for rows of one's own.
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Texts(rows) => rows.fingerprint.as_deref(),
            Self::Questions(questions) => Some(&questions.fingerprint),
        }
    }

    /// What the head's outputs mean.
    pub fn head(&self) -> HeadKind {
        match self {
            Self::Texts(rows) => match &rows.task.labels {
                Labels::Classes(labels) => HeadKind::Classification { labels: labels.clone() },
                Labels::Score => HeadKind::Regression,
            },
            Self::Questions(_) => HeadKind::Span,
        }
    }

    /// Tokenizes what was read for a base.
    ///
    /// # Errors
    /// A text that cannot be tokenized, rows without room for a paragraph, or a tokenizer that is not the base's.
    pub fn material(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
        max_length: usize,
    ) -> Result<PreparedData> {
        match self {
            Self::Texts(texts) => Ok(PreparedData {
                train: rows::encode(encoder, bert, &texts.train)?,
                validation: rows::encode(encoder, bert, &texts.validation)?,
                evaluator: Evaluator::Labels(texts.task.clone()),
            }),
            Self::Questions(questions) => {
                let config = WindowConfig::of_length(max_length);
                let train = Windows::cut(&questions.train, encoder, &config)?.training_rows();
                ensure!(
                    !train.rows().is_empty(),
                    "no training question has an answer in its place"
                );
                let squad = questions.validation.clone();
                let windows = Windows::cut(&squad, encoder, &config)?;
                let validation = windows.rows().clone();
                rows::check(bert, &train)?;
                rows::check(bert, &validation)?;
                let evaluator = Evaluator::Answers(Box::new(SquadEvaluator { squad, windows }));
                Ok(PreparedData { train, validation, evaluator })
            }
        }
    }
}
