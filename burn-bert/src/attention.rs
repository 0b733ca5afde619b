//! Self-attention over heads, up to but not including the output's residual.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor};

use crate::insertion::{Insertions, Projection, Site};
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
    /// - padding: `[batch, 1, 1, sequence]`, true where there is no token
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        padding: &Tensor<4, Bool>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let context = self.self_attention.forward(&hidden, padding, layer, insertions);
        let place =
            Place { layer, site: Site::Attention(layer), projection: Projection::AttentionOutput };
        self.output.forward(context, hidden, place, insertions)
    }
}

impl SelfAttention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - padding: `[batch, 1, 1, sequence]`, true where there is no token
    fn forward(
        &self,
        hidden: &Tensor<3>,
        padding: &Tensor<4, Bool>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let [batch, sequence, d_model] = hidden.dims();
        let d_head = d_model / self.heads;
        let heads = |projection, linear: &Linear| {
            let projected =
                insertions.project(layer, projection, hidden, linear.forward(hidden.clone()));
            projected.reshape([batch, sequence, self.heads, d_head]).swap_dims(1, 2) // [batch, heads, sequence, d_head]
        };
        let query = heads(Projection::Query, &self.query);
        let key = heads(Projection::Key, &self.key);
        let value = heads(Projection::Value, &self.value);

        let scale = 1.0 / (d_head as f64).sqrt();
        let context = if hidden.device().is_autodiff() {
            // Probabilities are dropped out in training, which Burn's fused operation cannot do.
            let scores = query.mul_scalar(scale).matmul(key.swap_dims(2, 3)); // [batch, heads, sequence, sequence]
            // The reference adds -10000; either way the probability of padding is 0 in f32.
            let scores = scores.mask_fill(padding.clone(), f32::MIN);
            self.dropout.forward(softmax(scores, 3)).matmul(value)
        } else {
            let padding = padding.clone().expand([batch, self.heads, sequence, sequence]);
            let options =
                AttentionModuleOptions { scale: Some(scale), softcap: None, is_causal: false };
            attention(query, key, value, Some(padding), None, options)
        };
        context.swap_dims(1, 2).reshape([batch, sequence, d_model])
    }
}
