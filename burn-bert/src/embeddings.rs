//! The embeddings: the sum of words, positions and token types, through a LayerNorm.

use burn::module::Module;
use burn::nn::{Dropout, Embedding, Linear};
use burn::tensor::{Int, Tensor};
use burn_fused::{LayerNorm, dropout, linear};

use crate::input::BertInput;
use crate::insertion::{Insertions, Site};

/// The tables, their norm and their projection.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertEmbeddings`)
#[expect(clippy::struct_field_names, reason = "the names in the checkpoint")]
#[derive(Module, Debug)]
pub(crate) struct Embeddings {
    /// `[vocab_size, d_embedding]`
    pub(crate) word_embeddings: Embedding,
    /// `[max_position_embeddings, d_embedding]`, if positions are added to the words.
    pub(crate) position_embeddings: Option<Embedding>,
    /// `[type_vocab_size, d_embedding]`
    pub(crate) token_type_embeddings: Option<Embedding>,
    pub(crate) layer_norm: LayerNorm,
    /// After the norm.
    pub(crate) dropout: Dropout,
    /// `[d_embedding, d_model]`, after the dropout or before the norm, if the widths differ.
    pub(crate) projection: Option<Linear>,
    #[module(skip)]
    pub(crate) projects_before_norm: bool,
    /// Whether the result of padding is 0, because a convolution reads it.
    #[module(skip)]
    pub(crate) hides_padding: bool,
    /// The most tokens of a text.
    #[module(skip)]
    pub(crate) longest_text: usize,
    /// The id and position of padding, if positions are counted from the next row.
    #[module(skip)]
    pub(crate) padding_position: Option<usize>,
}

impl Embeddings {
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    pub(crate) fn forward(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<3> {
        let [_, sequence] = input.input_ids.dims();
        assert!(sequence > 0, "a text has no tokens, expected at least one");
        let words = self.word_embeddings.forward(input.input_ids.clone());
        let tokens = match &self.token_type_embeddings {
            Some(types) => words + types.forward(input.token_type_ids.clone()),
            None => words,
        };
        let sum = match &self.position_embeddings {
            Some(positions) => tokens + positions.forward(self.positions(&input.input_ids)),
            None => tokens,
        };
        // The tables may be in half precision; hidden states have the precision of the norms.
        let hidden = sum.cast(self.layer_norm.gamma.val().dtype());
        let project = |hidden, applies: bool| match &self.projection {
            Some(projection) if applies => linear(hidden, projection),
            _ => hidden,
        };
        let hidden = project(hidden, self.projects_before_norm);
        let hidden = insertions.norm(Site::Embeddings, hidden, &self.layer_norm);
        let hidden = if self.hides_padding {
            let padding = input.attention_mask.clone().bool_not();
            hidden.mask_fill(padding.unsqueeze_dim::<3>(2), 0.0)
        } else {
            hidden
        };
        project(dropout(hidden, &self.dropout), !self.projects_before_norm)
    }

    /// The row of the position table for each token: `[batch or 1, sequence]`.
    ///
    /// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/roberta/modeling_roberta.py> (`create_position_ids_from_input_ids`)
    fn positions(&self, input_ids: &Tensor<2, Int>) -> Tensor<2, Int> {
        let [_, sequence] = input_ids.dims();
        let Some(padding) = self.padding_position else {
            let device = input_ids.device();
            return Tensor::<1, Int>::arange(0..sequence as i64, &device).unsqueeze();
        };
        let tokens = input_ids.clone().not_equal_elem(padding as i64).int();
        tokens.clone().cumsum(1) * tokens + padding as i64
    }
}
