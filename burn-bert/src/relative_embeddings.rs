//! The embeddings of distances between positions, which the layers of DeBERTa share.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2/modeling_deberta_v2.py> (`DebertaV2Encoder`)

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{DType, Tensor};
use burn_fused::LayerNorm;

use crate::variations::RelativeAttention;

/// The table and its LayerNorm.
#[derive(Module, Debug)]
pub(crate) struct RelativeEmbeddings {
    /// `[2 span, d_model]`
    pub(crate) rel_embeddings: Embedding,
    pub(crate) layer_norm: Option<LayerNorm>,
    #[module(skip)]
    pub(crate) settings: RelativeAttention,
}

impl RelativeEmbeddings {
    /// The rows of the distances in a text.
    ///
    /// # Shapes
    /// - result: `[1, rows, d_model]`
    pub(crate) fn forward(&self, sequence: usize, dtype: DType) -> Tensor<3> {
        let rows = self.settings.buckets().rows(sequence);
        let table = self.rel_embeddings.weight.val().narrow(0, rows.start, rows.len());
        let table = table.cast(dtype).unsqueeze();
        match &self.layer_norm {
            Some(norm) => norm.forward(table),
            None => table,
        }
    }
}
