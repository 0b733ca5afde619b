//! Tokenized texts as a Burn dataset.

use std::sync::Arc;

use burn::data::dataset::{Dataset, DatasetError};

use crate::task_kind::Label;

/// A text or a pair as token ids with the special tokens of its tokenizer: `[CLS] text [SEP] text2 [SEP]` for a BERT,
/// `<s> text </s></s> text2 </s>` for a RoBERTa.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 0 for the first text with its special tokens, 1 for the second; all 0 for models without token types.
    pub type_ids: Vec<u32>,
    /// The label, if it is known.
    pub label: Option<Label>,
}

/// Tokenized rows, as a Burn dataset that is cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizedDataset {
    rows: Arc<[Encoded]>,
    longest: usize,
    cut: usize,
    pad_id: u32,
}

impl From<Vec<Encoded>> for TokenizedDataset {
    fn from(rows: Vec<Encoded>) -> Self {
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        Self { rows: rows.into(), longest, cut: 0, pad_id: 0 }
    }
}

impl TokenizedDataset {
    /// The rows.
    pub fn rows(&self) -> &[Encoded] {
        &self.rows
    }

    /// The same rows, which are padded with this id.
    #[must_use]
    pub fn padded_with(self, pad_id: u32) -> Self {
        Self { pad_id, ..self }
    }

    /// The same rows, so many of which were truncated.
    pub(crate) fn with_cut(self, cut: usize) -> Self {
        Self { cut, ..self }
    }

    /// The id with which the rows are padded; 0 unless it was set.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// The first rows, at most `count`.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self::from(self.rows[..self.rows.len().min(count)].to_vec()).padded_with(self.pad_id)
    }

    /// The number of tokens of the longest row.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The number of rows that were truncated.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The number of tokens of each row, including special ones.
    pub fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(|row| row.ids.len()).collect()
    }
}

impl Dataset<Encoded> for TokenizedDataset {
    fn get(&self, index: usize) -> Result<Encoded, DatasetError> {
        Ok(self.rows[index].clone())
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}
