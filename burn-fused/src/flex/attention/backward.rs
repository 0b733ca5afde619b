//! The gradients of attention.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::super::matrix::{Threads, multiply};
use super::super::simd::{exp, sum_of_two, vectorised};
use super::super::tensor::{Rows, tensor};
use super::block::{Block, Text};
use super::scores::{Scores, product_sizes};
use super::{Heads, Operands, Slices};

/// The texts whose gradients of operands that they may share are held at the same time.
const TEXTS_AT_ONCE: usize = 16;

/// The gradients of the operands.
pub(in super::super) struct Gradients {
    pub(in super::super) query: FlexTensor,
    pub(in super::super) key: FlexTensor,
    pub(in super::super) value: FlexTensor,
    /// Of the operands that texts may share, those that are asked for: bias, relative key and relative query.
    pub(in super::super) shared: [Option<FlexTensor>; 3],
}

/// The gradients of one text.
struct TextGradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    /// Empty where none is asked for.
    shared: [Vec<f32>; 3],
}

/// `wants` are the operands that texts may share which need a gradient: bias, relative key and relative query.
pub(in super::super) fn backward(
    gradient: &FlexTensor,
    operands: &Operands,
    normaliser: &FlexTensor,
    heads: &Heads,
    wants: [bool; 3],
) -> Gradients {
    let (gradient, normaliser) = (Rows::of(gradient), Rows::of(normaliser));
    let slices = Slices::of(operands);
    let Slices { batch, sequence, keys, d_model, .. } = slices;
    let (one_text, keys_of_one_text) = (sequence * d_model, keys * d_model);
    let [mut query_gradient, mut key_gradient, mut value_gradient] =
        [one_text, keys_of_one_text, keys_of_one_text].map(|length| vec![0.0; batch * length]);

    let rows = heads.distances.as_ref().map_or(0, |distances| distances.rows);
    let sizes = [heads.count * sequence * sequence, rows * d_model, rows * d_model];
    let sizes = [0, 1, 2].map(|which| if wants[which] { sizes[which] } else { 0 });
    let operands = [&slices.bias, &slices.relative_key, &slices.relative_query];
    let is_shared = [0, 1, 2].map(|which| {
        operands[which].as_ref().is_some_and(|operand| operand.data().len() == sizes[which])
    });
    let mut shared: [Vec<f32>; 3] = Default::default();
    // Added text by text, so that the number of threads changes no bit.
    let mut add = |of_text: [Vec<f32>; 3]| {
        for (which, (total, of_text)) in shared.iter_mut().zip(of_text).enumerate() {
            if total.is_empty() || !is_shared[which] {
                total.extend(of_text);
            } else {
                for (total, x) in total.iter_mut().zip(of_text) {
                    *total += x;
                }
            }
        }
    };

    let at_once = if wants.contains(&true) { TEXTS_AT_ONCE } else { batch };
    query_gradient
        .chunks_mut(at_once * one_text)
        .zip(key_gradient.chunks_mut(at_once * keys_of_one_text))
        .zip(value_gradient.chunks_mut(at_once * keys_of_one_text))
        .enumerate()
        .for_each(|(group, ((query, key), value))| {
            let of_texts: Vec<_> = query
                .par_chunks_mut(one_text)
                .zip(key.par_chunks_mut(keys_of_one_text))
                .zip(value.par_chunks_mut(keys_of_one_text))
                .enumerate()
                .map(|(nth, ((query, key), value))| {
                    let index = group * at_once + nth;
                    let gradient = &gradient.data()[index * one_text..(index + 1) * one_text];
                    let of_one = sequence * heads.count;
                    let normaliser = &normaliser.data()[index * of_one..(index + 1) * of_one];
                    let shared = sizes.map(|size| vec![0.0; size]);
                    let mut gradients = TextGradients { query, key, value, shared };
                    backward_text(&slices, heads, index, gradient, normaliser, &mut gradients);
                    gradients.shared
                })
                .collect();
            of_texts.into_iter().for_each(&mut add);
        });
    let mut of = |which: usize| {
        let operand = operands[which].as_ref().filter(|_| wants[which])?;
        Some(tensor(std::mem::take(&mut shared[which]), operand.shape()))
    };
    Gradients {
        query: tensor(query_gradient, slices.query.shape()),
        key: tensor(key_gradient, slices.key.shape()),
        value: tensor(value_gradient, slices.key.shape()),
        shared: [of(0), of(1), of(2)],
    }
}

fn backward_text(
    slices: &Slices,
    heads: &Heads,
    index: usize,
    gradient: &[f32],
    normaliser: &[f32],
    gradients: &mut TextGradients<'_>,
) {
    let [query, key, value] = slices.text(index);
    let text = Text::new(slices, heads, index, [query, key, value, gradient]);
    for (nth, block) in text.blocks().enumerate() {
        let width = block.width();
        if width == 0 {
            continue;
        }
        let mut scores = Scores::new(slices, &text, &block);
        let mut score_gradient = vec![0.0; block.queries.len() * width];
        let mut products = match &heads.distances {
            Some(distances) => product_sizes(slices, &block, distances).map(|size| vec![0.0; size]),
            None => Default::default(),
        };
        for head in 0..heads.count {
            let probabilities = scores.of_head(head);
            for (column, keys) in block.columns() {
                multiply(
                    block.part(&mut score_gradient, column, keys.len()),
                    false,
                    1.0,
                    text.head(gradient, block.queries.clone(), head),
                    text.head(value, keys, head).transposed(),
                    Threads::One,
                );
            }
            let normalisers =
                normaliser[block.queries.start * heads.count + head..].iter().step_by(heads.count);
            gradients_of_scores(
                &text,
                &block,
                head,
                probabilities,
                &mut score_gradient,
                normalisers,
            );
            text.hide(&block, &mut score_gradient, 0.0);

            // Blocks after the first add to the gradients of keys that they share.
            let adds = nth > 0;
            for (part, (column, keys)) in block.columns().enumerate() {
                let [score_gradient, probabilities] = [&score_gradient, &*probabilities]
                    .map(|rows| block.columns_of(rows, column, keys.len()));
                let products = [
                    (
                        text.head_mut(gradients.query, block.queries.clone(), head),
                        part > 0,
                        heads.scale,
                        score_gradient,
                        text.head(key, keys.clone(), head),
                    ),
                    (
                        text.head_mut(gradients.key, keys.clone(), head),
                        adds,
                        heads.scale,
                        score_gradient.transposed(),
                        text.head(query, block.queries.clone(), head),
                    ),
                    (
                        text.head_mut(gradients.value, keys.clone(), head),
                        adds,
                        1.0,
                        probabilities.transposed(),
                        text.head(gradient, block.queries.clone(), head),
                    ),
                ];
                for (out, adds, factor, left, right) in products {
                    multiply(out, adds, factor, left, right, Threads::One);
                }
            }
            if heads.distances.is_some() {
                let gradient = &mut score_gradient;
                relative_gradients(slices, &text, &block, head, gradient, &mut products, gradients);
            }
            let [bias, ..] = &mut gradients.shared;
            if !bias.is_empty() {
                text.store_bias_gradient(&block, head, &mut score_gradient, bias);
            }
        }
    }
}

/// Turns the gradients of a block's probabilities into those of its scores, and its scores into probabilities after
/// dropout.
fn gradients_of_scores<'n>(
    text: &Text<'_>,
    block: &Block,
    head: usize,
    scores: &mut [f32],
    gradients: &mut [f32],
    normalisers: impl Iterator<Item = &'n f32>,
) {
    let mask = text.heads.dropout.map(|mask| mask.block(text.head_index(head)));
    vectorised(
        #[inline(always)]
        || {
            let rows = block.rows(scores).zip(block.rows(gradients)).zip(normalisers);
            for (((query, probabilities), (_, gradients)), normaliser) in rows {
                for p in probabilities.iter_mut() {
                    *p = exp(*p - normaliser);
                }
                let first = (text.all_keys as u32).wrapping_mul(query as u32);
                if let Some(mask) = mask {
                    for (column, keys) in block.columns() {
                        let first = first.wrapping_add(keys.start as u32);
                        for (index, g) in (0..).zip(&mut gradients[column..column + keys.len()]) {
                            *g *= mask.factor(first.wrapping_add(index));
                        }
                    }
                }
                let slope = sum_of_two(probabilities, gradients, |p, g| p * g);
                for (g, &p) in gradients.iter_mut().zip(probabilities.iter()) {
                    *g = (*g - slope) * p;
                }
                if let Some(mask) = mask {
                    for (column, keys) in block.columns() {
                        let first = first.wrapping_add(keys.start as u32);
                        for (index, p) in (0..).zip(&mut probabilities[column..column + keys.len()])
                        {
                            *p *= mask.factor(first.wrapping_add(index));
                        }
                    }
                }
            }
        },
    );
}

/// The gradients of the terms for distances, added to those of queries and keys; `products` is room for them.
fn relative_gradients(
    slices: &Slices,
    text: &Text<'_>,
    block: &Block,
    head: usize,
    score_gradient: &mut [f32],
    products: &mut [Vec<f32>; 2],
    gradients: &mut TextGradients<'_>,
) {
    let Some(distances) = &text.heads.distances else { return };
    let [query, key, _] = slices.text(text.index);
    let TextGradients { query: query_gradient, key: key_gradient, shared, .. } = gradients;
    let [_, key_table_gradient, query_table_gradient] = shared;
    let [of_queries, of_keys] = products;
    let [key_table, query_table] = slices.tables(text.heads, text.index);
    if let Some(table) = key_table {
        distances.gradients_of_queries(block, score_gradient, of_queries);
        let x = text.head(query, block.queries.clone(), head);
        let out = text.head_mut(query_gradient, block.queries.clone(), head);
        distances.backward(text, head, of_queries, (x, out), (table, key_table_gradient));
    }
    if let Some(table) = query_table {
        distances.gradients_of_keys(block, score_gradient, of_keys);
        let keys = text.keys_of(&block.positions);
        let x = text.head(key, keys.clone(), head);
        let out = text.head_mut(key_gradient, keys, head);
        distances.backward(text, head, of_keys, (x, out), (table, query_table_gradient));
    }
}
