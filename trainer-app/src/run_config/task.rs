//! Where the rows of a run come from: the section `[task]` of a configuration.

use std::path::PathBuf;

use glue_data::tasks::squad;
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
    /// Your own files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTaskConfig>,
}

impl TaskConfig {
    /// Whether the task is question answering (SQuAD).
    pub fn is_question_answering(&self) -> bool {
        self.custom.is_none() && self.name == squad::NAME
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
    /// Column of the label.
    pub label: String,
    /// The label is a number (regression).
    pub score: bool,
}
