//! Softmax attention over heads, with dropout of the probabilities.

use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, assert_shape, module};

use crate::dropout::dropout;
use crate::types::AttentionOptions;

/// `softmax(Q Kᵗ / √d_head) V` for each head, with the heads side by side in the last axis as after the projections.
///
/// Masked positions have probability 0; in a text without tokens all positions have the same.
///
/// There may be more keys than queries: prefix tuning puts keys in front of those of the text.
///
/// # Shapes
/// - query, result: `[batch, sequence, d_model]`
/// - key, value: `[batch, keys, d_model]`
/// - attention_mask: `[batch, keys]`, true for a token, false for padding
///
/// # Panics
/// If the shapes do not match, or the heads do not divide `d_model`.
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
        // The reference adds -10000; the probability of padding is 0 in f32 either way.
        let probabilities = softmax(scores.mask_fill(padding, f32::MIN), 3);
        dropout(probabilities, layer).matmul(value)
    } else {
        // Burn's own fused operation, which has no dropout.
        let padding = padding.expand([batch, heads, sequence, keys]);
        let options = AttentionModuleOptions { scale: Some(scale), ..Default::default() };
        module::attention(query, key, value, Some(padding), None, options)
    };
    context.swap_dims(1, 2).reshape([batch, sequence, d_model])
}
