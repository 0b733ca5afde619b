//! Where the rows of a run come from: the section `[task]` of a configuration.

use std::path::PathBuf;

use glue_data::tagging::TagColumns;
use glue_data::tasks::{self, entities, squad};
use glue_data::{LabelColumns, TaskKind};
use serde::{Deserialize, Serialize};

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Name of the task; for your own files, the stem of the training file's name.
    pub name: String,
    /// Directory of the published files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Maximum number of training rows, drawn by the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Your own files of texts with a label each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTaskConfig>,
    /// Your own files of texts whose words are labeled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged: Option<TaggedTaskConfig>,
}

impl TaskConfig {
    /// Whether the task is question answering (SQuAD).
    pub fn is_question_answering(&self) -> bool {
        !self.has_own_files() && self.name == squad::NAME
    }

    /// Whether the words of texts are labeled (token classification).
    pub fn labels_words(&self) -> bool {
        self.tagged.is_some() || !self.has_own_files() && entities::find(&self.name).is_some()
    }

    /// Whether the classifier reads every token, and not one vector per text.
    pub fn reads_tokens(&self) -> bool {
        self.is_question_answering() || self.labels_words()
    }

    /// Whether the rows are in files of your own.
    pub fn has_own_files(&self) -> bool {
        self.custom.is_some() || self.tagged.is_some()
    }

    /// What the task predicts.
    pub fn prediction(&self) -> Prediction {
        match &self.custom {
            Some(custom) => custom.prediction(),
            None if self.labels_words() => Prediction::Tags,
            None if self.is_question_answering() => Prediction::Span,
            // An unknown task is an error when its rows are read.
            None => tasks::lookup(&self.name)
                .map_or(Prediction::Class, |spec| Prediction::of(&spec.task().kind)),
        }
    }

    /// The flag that decides what the task predicts.
    pub(super) fn deciding_flag(&self) -> String {
        match &self.custom {
            Some(custom) if custom.score => "--score".to_owned(),
            Some(custom) if custom.label_separator.is_some() => "--label-separator".to_owned(),
            Some(custom) if !custom.labels.is_empty() => "--labels".to_owned(),
            Some(_) => "--label".to_owned(),
            None => match &self.tagged {
                Some(files) => files.flags(),
                None => format!("--task {}", self.name),
            },
        }
    }
}

/// What a task predicts for a row, as far as its settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// One class.
    Class,
    /// Any number of labels.
    Set,
    /// One class, or any number of labels if the file has lists of labels.
    ClassOrSet,
    /// A number.
    Score,
    /// The answer to a question.
    Span,
    /// A tag for each word.
    Tags,
}

impl Prediction {
    /// What a kind of task predicts.
    pub fn of(kind: &TaskKind) -> Self {
        match kind {
            TaskKind::Classification { .. } => Self::Class,
            TaskKind::MultiLabel { .. } => Self::Set,
            TaskKind::Regression => Self::Score,
            TaskKind::Span => Self::Span,
            TaskKind::TokenClassification { .. } => Self::Tags,
        }
    }

    /// What is predicted, in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Class => "one class a row",
            Self::Set => "several labels a row",
            Self::ClassOrSet => "one class or several labels a row",
            Self::Score => "a number",
            Self::Span => "the answers to questions",
            Self::Tags => "a tag for each word",
        }
    }
}

/// Your own files and their columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomTaskConfig {
    /// Training rows.
    pub train: PathBuf,
    /// Validation rows; without them a tenth of the training rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Test rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Column of the text.
    pub text: String,
    /// Column of the second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text2: Option<String>,
    /// Column of the label, or of the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The text between two labels of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_separator: Option<String>,
    /// Columns of 0 and 1, one for each label, instead of the column of the label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The label is a number (regression).
    pub score: bool,
}

impl CustomTaskConfig {
    /// Where the labels are.
    pub fn label_columns(&self) -> LabelColumns {
        label_columns(self.label.as_deref(), self.label_separator.as_deref(), &self.labels)
    }

    fn prediction(&self) -> Prediction {
        // As the file is read: by its extension.
        let is_jsonl =
            self.train.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
        match self.label_columns() {
            _ if self.score => Prediction::Score,
            LabelColumns::One { .. } if is_jsonl => Prediction::ClassOrSet,
            LabelColumns::One { .. } => Prediction::Class,
            LabelColumns::Separated { .. } | LabelColumns::Indicators { .. } => Prediction::Set,
        }
    }
}

/// Where labels are, by the values of `--label`, `--label-separator` and `--labels`.
pub(crate) fn label_columns(
    label: Option<&str>,
    separator: Option<&str>,
    labels: &[String],
) -> LabelColumns {
    let column = label.unwrap_or_default().to_owned();
    match separator {
        _ if !labels.is_empty() => LabelColumns::Indicators { columns: labels.to_vec() },
        Some(separator) => LabelColumns::Separated { column, separator: separator.to_owned() },
        None => LabelColumns::One { column },
    }
}

/// Your own files of texts whose words are labeled, and their columns or keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaggedTaskConfig {
    /// Training texts.
    pub train: PathBuf,
    /// Validation texts; without them a tenth of the training texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Test texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Column or key of the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// Column or key of the tags of the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Key of the text whose entities are spans of characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Key of the spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<String>,
    /// Leave spans out that begin or end inside of a word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_misaligned: bool,
}

impl TaggedTaskConfig {
    /// The flags that make it a task of words.
    fn flags(&self) -> String {
        let given = [
            ("--tokens", self.tokens.is_some()),
            ("--tags", self.tags.is_some()),
            ("--entities", self.entities.is_some()),
            ("--skip-misaligned", self.skip_misaligned),
        ];
        let given = given.iter().filter(|(_, is_given)| *is_given);
        let given: String = given.map(|(flag, _)| format!(" {flag}")).collect();
        format!("--train {}{given}", self.train.display())
    }

    /// The columns or keys of the files.
    pub fn columns(&self) -> TagColumns {
        TagColumns {
            tokens: self.tokens.clone(),
            tags: self.tags.clone(),
            text: self.text.clone(),
            entities: self.entities.clone(),
            skip_misaligned: self.skip_misaligned,
        }
    }
}
