//! Softmax attention over heads, with dropout of the probabilities.

use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, assert_shape, module};

use crate::dropout::dropout;

/// How [`attention`] attends.
#[derive(Debug, Clone, Copy)]
pub struct AttentionOptions<'a> {
    /// Number of heads; divides `d_model`.
    pub heads: usize,
    /// Of the probabilities.
    pub dropout: &'a Dropout,
}

/// `softmax(Q Kᵗ / √d_head) V` for each head, heads side by side in the last axis as the projections leave them.
///
/// Probabilities of masked positions are 0; where a text has no token at all, all positions weigh the same.
///
/// There may be more keys than queries: a prefix stands before those of the text.
///
/// # Shapes
/// - query, result: `[batch, sequence, d_model]`
/// - key, value: `[batch, keys, d_model]`
/// - attention_mask: `[batch, keys]`, true for a token, false for padding
///
/// # Panics
/// If the shapes do not belong together, or the heads do not divide `d_model`.
pub fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    attention_mask: &Tensor<2, Bool>,
    options: AttentionOptions<'_>,
) -> Tensor<3> {
    let [batch, sequence, d_model] = query.dims();
    let [_, keys, _] = key.dims();
    assert_shape!(key, [batch, keys, d_model]);
    assert_shape!(value, [batch, keys, d_model]);
    assert_shape!(attention_mask, [batch, keys]);
    let AttentionOptions { heads, dropout: layer } = options;
    assert!(
        heads > 0 && d_model.is_multiple_of(heads),
        "{heads} heads do not divide a d_model of {d_model}"
    );

    #[cfg(feature = "flex")]
    if crate::flex::supports(&query) {
        return crate::flex::attention(query, key, value, attention_mask, options);
    }
    let d_head = d_model / heads;
    let split = |x: Tensor<3>| {
        let [_, positions, _] = x.dims();
        x.reshape([batch, positions, heads, d_head]).swap_dims(1, 2) // [batch, heads, positions, d_head]
    };
    let scale = 1.0 / (d_head as f64).sqrt();
    let (query, key, value) = (split(query), split(key), split(value));
    let padding = attention_mask.clone().bool_not().unsqueeze_dims::<4>(&[1, 1]); // [batch, 1, 1, keys]
    let context = if query.device().is_autodiff() {
        let scores = query.mul_scalar(scale).matmul(key.swap_dims(2, 3)); // [batch, heads, sequence, keys]
        // The reference adds -10000; either way the probability of padding is 0 in f32.
        let probabilities = softmax(scores.mask_fill(padding, f32::MIN), 3);
        dropout(probabilities, layer).matmul(value)
    } else {
        // Burn's own fused operation, which cannot drop out.
        let padding = padding.expand([batch, heads, sequence, keys]);
        let options = AttentionModuleOptions { scale: Some(scale), ..Default::default() };
        module::attention(query, key, value, Some(padding), None, options)
    };
    context.swap_dims(1, 2).reshape([batch, sequence, d_model])
}
