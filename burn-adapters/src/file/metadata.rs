//! The metadata of an adapter file: the task, the labels, the score and the base.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{AdapterError, FileError, HeadError};
use crate::model::head::HeadKind;

/// The metadata of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterMetadata {
    /// The method's name.
    pub method: String,
    /// The task's name.
    pub task: String,
    /// The source of its training data; unknown in files before version 2 and for imported adapters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSource>,
    /// Whether it was trained on single texts or on pairs; unknown in files before version 2 and for imported adapters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<TextInput>,
    /// What the head predicts.
    pub head: HeadKind,
    /// Its score on validation data, if it was evaluated.
    pub score: Option<Score>,
    /// How its outputs become probabilities and labels, if that was chosen on validation rows.
    #[serde(default, skip_serializing_if = "Calibration::is_default")]
    pub calibration: Calibration,
    /// The longest text it was trained on, in tokens.
    pub max_length: usize,
    /// The base it belongs to.
    pub base: BaseIdentity,
}

/// The source of an adapter's training data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSource {
    /// The published data set of the task.
    Published,
    /// A user's own files; the task's name is that of a file.
    Own,
}

/// An adapter's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextInput {
    /// One text.
    Single,
    /// Two texts.
    Pair,
}

impl fmt::Display for TextInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Single => "single texts",
            Self::Pair => "pairs of texts",
        })
    }
}

/// How the outputs of a head become probabilities and labels. It is chosen on validation rows after training; the logits are
/// not changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The number by which the logits of classes are divided before the softmax, above 0 (Guo et al. 2017).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// For each label of a multi-label head the probability from which it is predicted, at least 0 and at most 1; all are
    /// 0.5 if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f64>,
}

impl Calibration {
    /// Whether nothing was chosen.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that it is of a head.
    ///
    /// # Errors
    /// If it has something that the head does not use, another number of thresholds than labels, or a number out of its
    /// range.
    pub fn check(&self, head: &HeadKind) -> Result<(), HeadError> {
        let refuse = |found: String, expected: &'static str| {
            Err(HeadError::Calibration { found, head: head.to_string(), expected })
        };
        if let Some(temperature) = self.temperature {
            let is_used = matches!(head, HeadKind::Classification { .. });
            if !is_used || !temperature.is_finite() || temperature <= 0.0 {
                let expected = "a number above 0, for a head with one class a text";
                return refuse(format!("the temperature {temperature}"), expected);
            }
        }
        if !self.thresholds.is_empty() {
            let is_used = matches!(head, HeadKind::MultiLabel { labels } if labels.len() == self.thresholds.len());
            if !is_used || !self.thresholds.iter().all(|share| (0.0..=1.0).contains(share)) {
                let expected = "one from 0 to 1 for each label of a multi-label head";
                return refuse(format!("{} thresholds", self.thresholds.len()), expected);
            }
        }
        Ok(())
    }
}

/// A score on validation data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// Its value, in the metric's own range.
    pub value: f64,
}

/// Which base an adapter belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseIdentity {
    /// The name under which it was requested.
    pub name: String,
    /// SHA-256 of its weights, computed by the caller; compared as text.
    pub fingerprint: String,
    /// Names of the files that the fingerprint covers; empty in files before version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// A fingerprint of its tokenizer; absent in files before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

impl BaseIdentity {
    /// A base with an unknown tokenizer.
    pub fn new(name: impl Into<String>, fingerprint: impl Into<String>) -> Self {
        let (name, fingerprint) = (name.into(), fingerprint.into());
        Self { name, fingerprint, files: Vec::new(), tokenizer: None }
    }

    /// Checks that a tokenizer is the one with which the adapter at `path` was trained, if both are known.
    ///
    /// # Errors
    /// If their fingerprints differ.
    pub fn check_tokenizer(&self, path: &Path, found: Option<&str>) -> Result<(), AdapterError> {
        match (self.tokenizer.as_deref(), found) {
            (Some(expected), Some(found)) if expected != found => Err(FileError::WrongTokenizer {
                path: path.to_owned(),
                name: self.name.clone(),
                expected: expected.to_owned(),
                found: found.to_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }
}
