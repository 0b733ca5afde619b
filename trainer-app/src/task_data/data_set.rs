//! The data of a run: what every kind of data set provides.

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::Result;
use burn_adapters::file::native::TextInput;
use burn_bert::BertConfig;
use glue_data::{Split, TaskKind, TextEncoder, TokenizedDataset};

use super::evaluator::Evaluator;

/// The data of a run, as it was read.
pub trait TaskData: Debug + Send + Sync {
    /// A line about the data for the log, and one for each note on it.
    fn describe(&self) -> String;

    /// What is predicted.
    fn kind(&self) -> TaskKind;

    /// Whether texts are read alone or in pairs; `None` if they are neither.
    fn input(&self) -> Option<TextInput>;

    /// SHA-256 of the published rows, before any limit; none for rows of a user's own.
    fn fingerprint(&self) -> Option<&str>;

    /// Tokenizes the rows for a base.
    ///
    /// # Errors
    /// If a text cannot be tokenized, a row has no room for a paragraph, or the tokenizer is not that of the base.
    fn prepare(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
        max_length: usize,
    ) -> Result<PreparedData>;

    /// The labeled rows of other splits, on which the best adapter is scored.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    fn prepare_eval_splits(
        &self,
        _encoder: &TextEncoder,
        _bert: &BertConfig,
    ) -> Result<Vec<(Split, PreparedSplit)>> {
        Ok(Vec::new())
    }

    /// The main scores of the baselines on the validation rows.
    fn baselines(&self) -> Baselines {
        Baselines::default()
    }
}

/// The data of a run, tokenized.
#[derive(Debug)]
pub struct PreparedData {
    /// Training rows.
    pub train: TokenizedDataset,
    /// Validation rows.
    pub validation: TokenizedDataset,
    /// Scores the validation rows.
    pub evaluator: Arc<dyn Evaluator>,
}

/// The rows of a split, tokenized, and what scores them.
#[derive(Debug)]
pub struct PreparedSplit {
    /// The rows.
    pub rows: TokenizedDataset,
    /// Scores the rows.
    pub evaluator: Arc<dyn Evaluator>,
}

/// Main scores of baselines, where there are such.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Baselines {
    /// Of the majority class.
    pub majority: Option<f64>,
    /// Of a bag of words.
    pub bag_of_words: Option<f64>,
    /// Of the most frequent tag of each word.
    pub word_tags: Option<f64>,
}
