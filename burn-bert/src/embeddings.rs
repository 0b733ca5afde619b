//! The embeddings: the sum of words, positions and token types, through a LayerNorm.

use burn::module::Module;
use burn::nn::{Dropout, Embedding};
use burn::tensor::{Int, Tensor};
use burn_fused::{LayerNorm, dropout};

use crate::input::BertInput;
use crate::insertion::{Insertions, Site};

/// The three tables and their norm.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertEmbeddings`)
#[expect(clippy::struct_field_names, reason = "the names in the checkpoint")]
#[derive(Module, Debug)]
pub(crate) struct Embeddings {
    /// `[vocab_size, d_model]`
    pub(crate) word_embeddings: Embedding,
    /// `[max_position_embeddings, d_model]`
    pub(crate) position_embeddings: Embedding,
    /// `[type_vocab_size, d_model]`
    pub(crate) token_type_embeddings: Embedding,
    pub(crate) layer_norm: LayerNorm,
    /// After the norm.
    pub(crate) dropout: Dropout,
}

impl Embeddings {
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    pub(crate) fn forward(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let [_, sequence] = input.input_ids.dims();
        assert!(sequence > 0, "a text has no tokens, expected at least one");
        let positions = Tensor::<1, Int>::arange(0..sequence as i64, &input.input_ids.device());
        let words = self.word_embeddings.forward(input.input_ids.clone());
        let types = self.token_type_embeddings.forward(input.token_type_ids.clone());
        let positions = self.position_embeddings.forward(positions.unsqueeze()); // [1, sequence, d_model]
        // The tables may be in half precision; hidden states have the precision of the norms.
        let hidden = (words + types + positions).cast(self.layer_norm.gamma.val().dtype());
        dropout(insertions.norm(Site::Embeddings, hidden, &self.layer_norm), &self.dropout)
    }
}
