//! The result of a run, and its file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::task_data::score_details::ScoreDetails;

/// The result of a run: `result.json`, and the line that `--json` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResult {
    /// The name of the task.
    pub task: String,
    /// The name of the method.
    pub method: String,
    /// The name of the main metric.
    pub metric: String,
    /// The best validation score.
    pub score: f64,
    /// Every validation score of the best epoch.
    pub scores: Map<String, Value>,
    /// Every score of the best epoch on each other labeled split, by the name of the split.
    #[serde(default, rename = "judged", skip_serializing_if = "BTreeMap::is_empty")]
    pub eval_scores: BTreeMap<String, Map<String, Value>>,
    /// What the validation scores of the best epoch consist of; none for a regression, for questions, and in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ScoreDetails>,
    /// The validation score of the majority class, or of the most frequent tag for every word; none for a regression or
    /// for questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// The validation score of a bag of words; none for a regression, for questions and for words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bag_of_words: Option<f64>,
    /// The validation score of the most frequent tag of each word; only for token classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word_tags: Option<f64>,
    /// The best epoch, counted from 1, of which the adapter is.
    pub best_epoch: usize,
    /// Number of trained epochs.
    pub epochs: usize,
    /// Number of optimizer steps.
    pub steps: usize,
    /// Whether the run ended early because its prediction was the same for every row.
    #[serde(default)]
    pub collapsed: bool,
    /// Number of trainable parameters.
    #[serde(rename = "trained_parameters")]
    pub trainable_parameters: usize,
    /// Their number as a share of the base's.
    pub share_of_base: f64,
    /// Median duration of a training step in seconds.
    pub seconds_per_step: f64,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Resident memory at the end, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// SHA-256 of the base's weights; results of version 0.1.0 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_fingerprint: Option<String>,
    /// The base's configuration, before the settings of the run; older results do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_config: Option<Value>,
    /// Fingerprint of the base's tokenizer; older results do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer_fingerprint: Option<String>,
    /// SHA-256 of the published rows, before any limit; none for a user's own rows, and in results of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_fingerprint: Option<String>,
    /// The device.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// The adapter file.
    pub adapter: PathBuf,
}

impl RunResult {
    /// Reads a `result.json`.
    ///
    /// # Errors
    /// If the file cannot be read or is not a result.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the result {}", path.display());
        serde_json::from_slice(&std::fs::read(path).with_context(context)?).with_context(context)
    }
}
