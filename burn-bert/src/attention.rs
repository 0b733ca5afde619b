//! Self-attention over heads, up to but not including the output's residual.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Bool, Tensor};
use burn_fused::{AttentionOptions, attention};

use crate::insertion::{Insertions, Projection, Site};
use crate::projection::project;
use crate::residual::{Place, Residual};

/// The attention of a layer: heads, and the residual that closes them.
#[derive(Module, Debug)]
pub struct Attention {
    /// `attention.self` in the checkpoint; `self` is a word of Rust's.
    pub self_attention: SelfAttention,
    /// The output projection with its residual and norm.
    pub output: Residual,
}

/// Query, key and value, and what the heads do with them.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertSelfAttention`)
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[d_model, d_model]`
    pub query: Linear,
    /// `[d_model, d_model]`
    pub key: Linear,
    /// `[d_model, d_model]`
    pub value: Linear,
    /// Of the attention probabilities.
    pub dropout: Dropout,
    /// Number of heads.
    #[module(skip)]
    pub heads: usize,
}

impl Attention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let context = self.self_attention.forward(&hidden, attention_mask, layer, insertions);
        let place =
            Place { layer, site: Site::Attention(layer), projection: Projection::AttentionOutput };
        self.output.forward(context, hidden, place, insertions)
    }
}

impl SelfAttention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    fn forward(
        &self,
        hidden: &Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let project = |projection, dense: &Linear| {
            project(hidden.clone(), dense, layer, projection, insertions)
        };
        let query = project(Projection::Query, &self.query);
        let key = project(Projection::Key, &self.key);
        let value = project(Projection::Value, &self.value);
        let options = AttentionOptions { heads: self.heads, dropout: &self.dropout };
        let Some(prefix) = insertions.prefix(layer, hidden) else {
            return attention(query, key, value, attention_mask, options);
        };
        let [batch, length, _] = prefix.keys.dims();
        let never_masked = Tensor::<2, Bool>::full([batch, length], true, &attention_mask.device());
        let attention_mask = Tensor::cat(vec![never_masked, attention_mask.clone()], 1); // [batch, length + sequence]
        let key = Tensor::cat(vec![prefix.keys, key], 1); // [batch, length + sequence, d_model]
        let value = Tensor::cat(vec![prefix.values, value], 1);
        attention(query, key, value, &attention_mask, options)
    }
}
