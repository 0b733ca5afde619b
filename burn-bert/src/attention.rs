//! The attention sub-layer.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Bool, Tensor};
use burn_fused::{AttentionOptions, attention};

use crate::insertion::{Insertions, Projection, Site};
use crate::projection::project;
use crate::residual::{Residual, ResidualPosition};

/// The attention of a layer, with its output projection and residual connection.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    /// `attention.self` in the checkpoint; `self` is a keyword of Rust.
    pub(crate) self_attention: SelfAttention,
    pub(crate) output: Residual,
}

/// What the attention of every layer reads besides the hidden states.
#[derive(Clone, Copy)]
pub(crate) struct AttentionContext<'a> {
    /// `[batch, sequence]`
    pub(crate) attention_mask: &'a Tensor<2, Bool>,
    /// Added to the scaled scores: `[1, heads, sequence, sequence]`.
    pub(crate) bias: Option<&'a Tensor<4>>,
}

/// Multi-head self-attention without its output projection.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertSelfAttention`)
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    /// `[d_model, d_model]`
    pub(crate) query: Linear,
    /// `[d_model, d_model]`
    pub(crate) key: Linear,
    /// `[d_model, d_model]`
    pub(crate) value: Linear,
    /// Of the attention probabilities.
    pub(crate) dropout: Dropout,
    /// Number of heads.
    #[module(skip)]
    pub(crate) heads: usize,
}

impl Attention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        context: AttentionContext<'_>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let site = Site::Attention(layer);
        let input = self.output.sub_layer_input(site, &hidden, insertions);
        let output = self.self_attention.forward(&input, context, layer, insertions);
        let position = ResidualPosition { layer, site, projection: Projection::AttentionOutput };
        self.output.forward(output, hidden, position, insertions)
    }
}

impl SelfAttention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    fn forward(
        &self,
        hidden: &Tensor<3>,
        context: AttentionContext<'_>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let project = |projection, dense: &Linear| {
            project(hidden.clone(), dense, layer, projection, insertions)
        };
        let query = project(Projection::Query, &self.query);
        let key = project(Projection::Key, &self.key);
        let value = project(Projection::Value, &self.value);
        let AttentionContext { attention_mask, bias } = context;
        let options = AttentionOptions { bias, ..AttentionOptions::new(self.heads, &self.dropout) };
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
