//! The input of an encoder: a batch of token ids.

use burn::tensor::{Bool, Int, Tensor};

/// A batch of texts.
///
/// Ids must lie inside the embedding tables; [`BertConfig::check_text`](crate::BertConfig::check_text) checks that.
#[derive(Debug, Clone)]
pub struct BertInput {
    /// `[batch, sequence]`
    pub input_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 0 for the first text of a pair, 1 for the second.
    pub token_type_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: true for a token, false for padding.
    pub attention_mask: Tensor<2, Bool>,
}
