//! Attention over heads that are side by side in rows: no transposes, and the scores of one head at a time.
//!
//! The probabilities are not stored, only each row's normaliser; the backward pass computes them again, as in
//! Dao et al. 2022, *FlashAttention*, section 3.

use std::sync::Arc;

use burn::tensor::{Bool, Shape, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::dropout::Mask;
use super::matrix::{Matrix, MatrixMut, Threads, multiply};
use super::simd::{exp, is_finite, largest, sum, sum_of_two, vectorised};
use super::tensor::{Rows, tensor};

/// The heads, the mask and the dropout.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    count: usize,
    /// For each text, which keys belong to a token.
    tokens: Arc<[Vec<bool>]>,
    dropout: Option<Mask>,
}

impl Heads {
    pub(super) fn new(
        count: usize,
        attention_mask: &Tensor<2, Bool>,
        dropout: Option<Mask>,
    ) -> Self {
        let [_, keys] = attention_mask.dims();
        let mask: Vec<bool> = attention_mask.to_data().iter::<bool>().collect();
        Self { count, tokens: mask.chunks(keys).map(<[bool]>::to_vec).collect(), dropout }
    }
}

/// The result, and what the backward pass needs besides query, key and value.
pub(super) struct AttentionOutput {
    pub(super) context: FlexTensor,
    /// `[batch, heads, sequence]`: logarithm of each row's sum of exponentials.
    pub(super) normaliser: FlexTensor,
}

/// Sizes and mask of one text.
struct Text<'a> {
    sequence: usize,
    d_model: usize,
    d_head: usize,
    scale: f32,
    /// Keys up to that of the last token; the rest have probability 0. All keys if an input is NaN or infinite, which
    /// a probability of 0 would not hide.
    keys: usize,
    /// All keys: the row length in the dropout mask.
    all_keys: usize,
    /// Which keys belong to a token; if none does, all have the same probability.
    tokens: &'a [bool],
}

impl<'a> Text<'a> {
    /// `inputs` are those of this text: query, key, value and, in the backward pass, the gradient.
    fn new<const N: usize>(
        shape: &Shape,
        heads: &'a Heads,
        text: usize,
        inputs: [&[f32]; N],
    ) -> Self {
        let [_, sequence, d_model] = shape.dims();
        let d_head = d_model / heads.count;
        let tokens = &heads.tokens[text];
        let all_keys = tokens.len();
        let last = tokens.iter().rposition(|&token| token);
        let keys = last.map_or(all_keys, |last| last + 1);
        let skips = keys == all_keys || vectorised(|| inputs.into_iter().all(is_finite));
        let keys = if skips { keys } else { all_keys };
        Self {
            sequence,
            d_model,
            d_head,
            scale: 1.0 / (d_head as f32).sqrt(),
            keys,
            all_keys,
            tokens: &tokens[..keys],
        }
    }

    /// One head of all positions.
    fn head<'d>(&self, data: &'d [f32], head: usize) -> Matrix<'d> {
        Matrix::strided(&data[head * self.d_head..], self.sequence, self.d_head, self.d_model)
    }

    /// One head of the keys up to the last token.
    fn head_keys<'d>(&self, data: &'d [f32], head: usize) -> Matrix<'d> {
        Matrix::strided(&data[head * self.d_head..], self.keys, self.d_head, self.d_model)
    }

    fn head_mut<'d>(&self, data: &'d mut [f32], head: usize) -> MatrixMut<'d> {
        MatrixMut::strided(
            &mut data[head * self.d_head..],
            self.sequence,
            self.d_head,
            self.d_model,
        )
    }

    fn head_keys_mut<'d>(&self, data: &'d mut [f32], head: usize) -> MatrixMut<'d> {
        MatrixMut::strided(&mut data[head * self.d_head..], self.keys, self.d_head, self.d_model)
    }

    /// Whether the text is padding only.
    fn is_empty(&self) -> bool {
        !self.tokens.contains(&true)
    }

    /// `[sequence, keys]`: scaled and masked products of query and key; all 0 for a text without tokens.
    fn scores(&self, query: &[f32], key: &[f32], head: usize, scores: &mut [f32]) {
        if self.is_empty() {
            // Not `f32::MIN`, to which the logarithm of their number could not be added.
            scores.fill(0.0);
            return;
        }
        multiply(
            MatrixMut::new(scores, self.sequence, self.keys),
            false,
            self.scale,
            self.head(query, head),
            self.head_keys(key, head).transposed(),
            Threads::One,
        );
        if self.tokens.iter().all(|&token| token) {
            return;
        }
        for row in scores.chunks_exact_mut(self.keys) {
            for (score, _) in row.iter_mut().zip(self.tokens).filter(|(_, token)| !**token) {
                *score = f32::MIN;
            }
        }
    }
}

pub(super) fn forward(
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    heads: &Heads,
) -> AttentionOutput {
    let (query, key, value) = (Rows::of(query), Rows::of(key), Rows::of(value));
    let shape = query.shape();
    let [batch, sequence, d_model] = shape.dims();
    let mut context = vec![0.0; batch * sequence * d_model];
    let mut normaliser = vec![0.0; batch * heads.count * sequence];

    let one_text = sequence * d_model;
    let keys_of_one_text = key.shape()[1] * d_model;
    context
        .par_chunks_mut(one_text)
        .zip(normaliser.par_chunks_mut(heads.count * sequence))
        .enumerate()
        .for_each(|(index, (context, normaliser))| {
            let query = &query.data()[index * one_text..(index + 1) * one_text];
            let keys = index * keys_of_one_text..(index + 1) * keys_of_one_text;
            let (key, value) = (&key.data()[keys.clone()], &value.data()[keys]);
            let text = Text::new(&shape, heads, index, [query, key, value]);
            let mut scores = vec![0.0; sequence * text.keys];
            for (head, normaliser) in normaliser.chunks_exact_mut(sequence).enumerate() {
                text.scores(query, key, head, &mut scores);
                let mask = heads.dropout.map(|mask| mask.block(index * heads.count + head));
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = scores.chunks_exact_mut(text.keys).zip(normaliser);
                        for (position, (row, normaliser)) in (0..).zip(rows) {
                            let max = largest(row);
                            for x in row.iter_mut() {
                                *x = exp(*x - max);
                            }
                            let total = sum(row, |x| x);
                            *normaliser = max + total.ln();
                            let inverse = 1.0 / total;
                            if let Some(mask) = mask {
                                let first = (text.all_keys as u32).wrapping_mul(position);
                                for (index, x) in (first..).zip(row) {
                                    *x *= inverse * mask.factor(index);
                                }
                            } else {
                                for x in row {
                                    *x *= inverse;
                                }
                            }
                        }
                    },
                );
                multiply(
                    text.head_mut(context, head),
                    false,
                    1.0,
                    Matrix::new(&scores, sequence, text.keys),
                    text.head_keys(value, head),
                    Threads::One,
                );
            }
        });
    AttentionOutput {
        context: tensor(context, shape),
        normaliser: tensor(normaliser, Shape::new([batch, heads.count, sequence])),
    }
}

/// The gradients of query, key and value.
pub(super) fn backward(
    gradient: &FlexTensor,
    [query, key, value]: [&FlexTensor; 3],
    normaliser: &FlexTensor,
    heads: &Heads,
) -> [FlexTensor; 3] {
    let gradient = Rows::of(gradient);
    let (query, key, value) = (Rows::of(query), Rows::of(key), Rows::of(value));
    let normaliser = Rows::of(normaliser);
    let shape = query.shape();
    let [batch, sequence, d_model] = shape.dims();
    let one_text = sequence * d_model;
    let key_shape = key.shape();
    let keys_of_one_text = key_shape[1] * d_model;
    let [mut query_gradient, mut key_gradient, mut value_gradient] =
        [one_text, keys_of_one_text, keys_of_one_text].map(|length| vec![0.0; batch * length]);

    query_gradient
        .par_chunks_mut(one_text)
        .zip(key_gradient.par_chunks_mut(keys_of_one_text))
        .zip(value_gradient.par_chunks_mut(keys_of_one_text))
        .enumerate()
        .for_each(|(index, ((query_gradient, key_gradient), value_gradient))| {
            let queries = index * one_text..(index + 1) * one_text;
            let (gradient, query) = (&gradient.data()[queries.clone()], &query.data()[queries]);
            let keys = index * keys_of_one_text..(index + 1) * keys_of_one_text;
            let (key, value) = (&key.data()[keys.clone()], &value.data()[keys]);
            let text = Text::new(&shape, heads, index, [query, key, value, gradient]);
            let mut probabilities = vec![0.0; sequence * text.keys];
            let mut score_gradient = vec![0.0; sequence * text.keys];
            for head in 0..heads.count {
                let block = index * heads.count + head;
                let normaliser = &normaliser.data()[block * sequence..(block + 1) * sequence];
                let mask = heads.dropout.map(|mask| mask.block(block));
                text.scores(query, key, head, &mut probabilities);
                multiply(
                    MatrixMut::new(&mut score_gradient, sequence, text.keys),
                    false,
                    1.0,
                    text.head(gradient, head),
                    text.head_keys(value, head).transposed(),
                    Threads::One,
                );
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = probabilities
                            .chunks_exact_mut(text.keys)
                            .zip(score_gradient.chunks_exact_mut(text.keys))
                            .zip(normaliser);
                        for (position, ((probabilities, score_gradient), normaliser)) in
                            (0..).zip(rows)
                        {
                            for p in probabilities.iter_mut() {
                                *p = exp(*p - normaliser);
                            }
                            let first = (text.all_keys as u32).wrapping_mul(position);
                            if let Some(mask) = mask {
                                for (index, g) in (first..).zip(score_gradient.iter_mut()) {
                                    *g *= mask.factor(index);
                                }
                            }
                            let slope = sum_of_two(probabilities, score_gradient, |p, g| p * g);
                            for (g, &p) in score_gradient.iter_mut().zip(probabilities.iter()) {
                                *g = (*g - slope) * p;
                            }
                            for (g, _) in score_gradient
                                .iter_mut()
                                .zip(text.tokens)
                                .filter(|(_, token)| !**token)
                            {
                                *g = 0.0;
                            }
                            // From here on `probabilities` are those after dropout.
                            if let Some(mask) = mask {
                                for (index, p) in (first..).zip(probabilities) {
                                    *p *= mask.factor(index);
                                }
                            }
                        }
                    },
                );
                let score_gradient = Matrix::new(&score_gradient, sequence, text.keys);
                let probabilities = Matrix::new(&probabilities, sequence, text.keys);
                let products = [
                    (
                        text.head_mut(query_gradient, head),
                        text.scale,
                        score_gradient,
                        text.head_keys(key, head),
                    ),
                    (
                        text.head_keys_mut(key_gradient, head),
                        text.scale,
                        score_gradient.transposed(),
                        text.head(query, head),
                    ),
                    (
                        text.head_keys_mut(value_gradient, head),
                        1.0,
                        probabilities.transposed(),
                        text.head(gradient, head),
                    ),
                ];
                for (out, factor, left, right) in products {
                    multiply(out, false, factor, left, right, Threads::One);
                }
            }
        });
    [
        tensor(query_gradient, shape),
        tensor(key_gradient, key_shape.clone()),
        tensor(value_gradient, key_shape),
    ]
}
