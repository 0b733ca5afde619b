//! Softmax attention over heads, with dropout of the probabilities.

use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, assert_shape, module};

use crate::attention_options::{AttentionOptions, RelativeTerms};
use crate::dropout::dropout;

/// `softmax(Q Kᵗ / √d_head) V` for each head, with the heads side by side in the last axis as after the projections.
///
/// Masked positions have probability 0; in a text without tokens all positions have the same.
///
/// There may be more keys than queries: prefix tuning puts keys in front of those of the text.
/// [`AttentionOptions`] has what other encoders add: a window, a bias, terms for distances.
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
    options.check([batch, sequence, d_model], keys);

    #[cfg(feature = "flex")]
    if crate::flex::supports(&query) {
        return crate::flex::attention(query, key, value, attention_mask, options);
    }
    let AttentionOptions { heads, dropout: layer, window, bias, relative, .. } = options;
    let d_head = d_model / heads;
    let scale = options.scale(d_head);
    let (query, key, value) = (split(query, heads), split(key, heads), split(value, heads));
    let padding = attention_mask.clone().bool_not().unsqueeze_dims::<4>(&[1, 1]); // [batch, 1, 1, keys]
    let is_burns = window.is_none() && bias.is_none() && relative.is_none();
    let context = if is_burns && !query.device().is_autodiff() {
        // Burn's own fused operation, which has no dropout.
        let padding = padding.expand([batch, heads, sequence, keys]);
        let options = AttentionModuleOptions { scale: Some(scale), ..Default::default() };
        module::attention(query, key, value, Some(padding), None, options)
    } else {
        let query = query.mul_scalar(scale);
        let mut scores = query.clone().matmul(key.clone().swap_dims(2, 3)); // [batch, heads, sequence, keys]
        let prefix = keys.saturating_sub(sequence);
        let of_text = key.narrow(2, prefix, keys - prefix);
        for term in
            relative.into_iter().flat_map(|terms| relative_scores(&query, &of_text, terms, scale))
        {
            scores = scores + behind_prefix(term, prefix);
        }
        if let Some(bias) = bias {
            scores = scores + behind_prefix(bias.clone(), prefix);
        }
        let hidden = match window {
            Some(window) => {
                let far = is_far([sequence, keys], window, &scores.device()); // [1, 1, sequence, keys]
                padding
                    .expand([batch, 1, sequence, keys])
                    .bool_or(far.expand([batch, 1, sequence, keys]))
            }
            None => padding,
        };
        // The reference adds -10000 or more; the probability of padding is 0 in f32 either way.
        let probabilities = softmax(scores.mask_fill(hidden.clone(), f32::MIN), 3);
        let context = dropout(probabilities, layer).matmul(value);
        match window {
            // No token is near.
            Some(_) => context.mask_fill(hidden.all_dim(3), 0.0),
            None => context,
        }
    };
    context.swap_dims(1, 2).reshape([batch, sequence, d_model])
}

/// `[batch, positions, d_model]` to `[batch, heads, positions, d_head]`.
fn split(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, positions, d_model] = x.dims();
    x.reshape([batch, positions, heads, d_model / heads]).swap_dims(1, 2)
}

/// Whether a key is further from the query than the window: `[1, 1, sequence, keys]`.
fn is_far([sequence, keys]: [usize; 2], window: usize, device: &Device) -> Tensor<4, Bool> {
    let prefix = keys - sequence;
    let far = (0..sequence * keys).map(|index| {
        let (query, key) = (index / keys, index % keys);
        key >= prefix && query.abs_diff(key - prefix) > window
    });
    let far = TensorData::new(far.collect::<Vec<bool>>(), [1, 1, sequence, keys]);
    Tensor::from_data(far, device)
}

/// The terms for distances, scaled: each `[batch, heads, sequence, sequence]`. `query` is scaled already.
fn relative_scores(
    query: &Tensor<4>,
    key: &Tensor<4>,
    terms: &RelativeTerms,
    scale: f64,
) -> Vec<Tensor<4>> {
    let [batch, heads, sequence, _] = query.dims();
    // Products with every row of a table, `[batch, heads, sequence, rows]`.
    let products = |x: &Tensor<4>, table: &Tensor<3>| {
        let table = split(table.clone(), heads); // [1 or batch, heads, rows, d_head]
        x.clone().matmul(table.swap_dims(2, 3))
    };
    let first = terms.buckets.rows(sequence).start;
    let rows = (0..sequence * sequence).map(|index| {
        let (query, key) = (index / sequence, index % sequence);
        (terms.buckets.row(query, key) - first) as i64
    });
    let rows = TensorData::new(rows.collect::<Vec<_>>(), [1, 1, sequence, sequence]);
    let rows = Tensor::<4, Int>::from_data(rows, &query.device());
    let rows = rows.expand([batch, heads, sequence, sequence]);
    let content_to_position =
        terms.key.as_ref().map(|table| products(query, table).gather(3, rows.clone()));
    let position_to_content = terms.query.as_ref().map(|table| {
        let scores = products(key, table).gather(3, rows.clone().swap_dims(2, 3));
        scores.swap_dims(2, 3) * scale
    });
    content_to_position.into_iter().chain(position_to_content).collect()
}

/// With columns of 0 in front, for the keys of a prefix.
fn behind_prefix(term: Tensor<4>, prefix: usize) -> Tensor<4> {
    if prefix == 0 {
        return term;
    }
    let [batch, heads, sequence, _] = term.dims();
    let zeros = Tensor::zeros([batch, heads, sequence, prefix], (&term.device(), term.dtype()));
    Tensor::cat(vec![zeros, term], 3)
}
