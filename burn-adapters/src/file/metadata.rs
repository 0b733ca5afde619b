//! What an adapter file says about the adapter beside its weights: the task, the labels, the score and the base.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::AdapterError;
use crate::head::HeadKind;

/// What whoever trained an adapter says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterMetadata {
    /// The method by its name, as chosen.
    pub method: String,
    /// Name of the task.
    pub task: String,
    /// Whose rows it was trained on; files written before version 2 and imported adapters do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSource>,
    /// Whether it was trained on single texts or on pairs; files written before version 2 and imported adapters do not
    /// say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<TextInput>,
    /// What the outputs mean.
    pub head: HeadKind,
    /// The score it reached, if it was scored.
    pub score: Option<Score>,
    /// The longest text it was trained on, in tokens.
    pub max_length: usize,
    /// The base it belongs to.
    pub base: BaseIdentity,
}

/// Whose rows an adapter was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSource {
    /// The published rows of the task of that name.
    Published,
    /// A user's own files, whatever the name of the task: it is that of a file.
    Own,
}

/// What an adapter reads at a time.
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
    /// The name it was asked for by.
    pub name: String,
    /// SHA-256 of its weights, as the caller computes it; compared as text.
    pub fingerprint: String,
    /// Names of the files that the fingerprint covers; empty in files written before version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// A fingerprint of what its tokenizer computes; files written before version 2 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

impl BaseIdentity {
    /// A base whose tokenizer is not known.
    pub fn new(name: impl Into<String>, fingerprint: impl Into<String>) -> Self {
        let (name, fingerprint) = (name.into(), fingerprint.into());
        Self { name, fingerprint, files: Vec::new(), tokenizer: None }
    }

    /// Checks that a tokenizer is the one with which the adapter at `path` was trained, where both are known.
    ///
    /// # Errors
    /// If their fingerprints differ.
    pub fn check_tokenizer(&self, path: &Path, found: Option<&str>) -> Result<(), AdapterError> {
        match (self.tokenizer.as_deref(), found) {
            (Some(expected), Some(found)) if expected != found => {
                Err(AdapterError::WrongTokenizer {
                    path: path.to_owned(),
                    name: self.name.clone(),
                    expected: expected.to_owned(),
                    found: found.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}
