//! The result of attention.

use rayon::prelude::*;

use burn::tensor::Shape;

use super::super::matrix::{Threads, multiply};
use super::super::simd::{exp, largest, sum, vectorised};
use super::super::tensor::tensor;
use super::block::{Block, Text, queries_at_once};
use super::scores::Scores;
use super::{AttentionOutput, Heads, Operands, Slices};

pub(in super::super) fn forward(operands: &Operands, heads: &Heads) -> AttentionOutput {
    let slices = Slices::of(operands);
    let Slices { batch, sequence, d_model, .. } = slices;
    let mut context = vec![0.0; batch * sequence * d_model];
    let mut normaliser = vec![0.0; batch * sequence * heads.count];
    let at_once = queries_at_once(heads, sequence);
    context
        .par_chunks_mut(sequence * d_model)
        .zip(normaliser.par_chunks_mut(sequence * heads.count))
        .enumerate()
        .for_each(|(index, (context, normaliser))| {
            let text = Text::new(&slices, heads, index, slices.text(index));
            context
                .par_chunks_mut(at_once * d_model)
                .zip(normaliser.par_chunks_mut(at_once * heads.count))
                .enumerate()
                .for_each(|(number, (context, normaliser))| {
                    let first = number * at_once;
                    let block = text.block(first..sequence.min(first + at_once));
                    forward_block(&slices, &text, &block, context, normaliser);
                });
        });
    AttentionOutput {
        context: tensor(context, slices.query.shape()),
        normaliser: tensor(normaliser, Shape::new([batch, sequence, heads.count])),
    }
}

/// All heads of one block; `context` and `normaliser` are those of its queries.
fn forward_block(
    slices: &Slices,
    text: &Text<'_>,
    block: &Block,
    context: &mut [f32],
    normaliser: &mut [f32],
) {
    let heads = text.heads;
    if block.width() == 0 {
        normaliser.fill(f32::INFINITY);
        return;
    }
    let [_, _, value] = slices.text(text.index);
    let mut scores = Scores::new(slices, text, block);
    for head in 0..heads.count {
        let scores = scores.of_head(head);
        let mask = heads.dropout.map(|mask| mask.block(text.head_index(head)));
        let is_windowed = heads.window.is_some();
        vectorised(
            #[inline(always)]
            || {
                let normalisers = normaliser[head..].iter_mut().step_by(heads.count);
                for ((query, row), normaliser) in block.rows(scores).zip(normalisers) {
                    let max = largest(row);
                    for x in row.iter_mut() {
                        *x = exp(*x - max);
                    }
                    let total = sum(row, |x| x);
                    let (inverse, of_row) = if is_windowed && total <= 0.0 {
                        (0.0, f32::INFINITY)
                    } else {
                        (1.0 / total, max + total.ln())
                    };
                    *normaliser = of_row;
                    let Some(mask) = mask else {
                        for x in row {
                            *x *= inverse;
                        }
                        continue;
                    };
                    let first = (text.all_keys as u32).wrapping_mul(query as u32);
                    for (column, keys) in block.columns() {
                        let first = first.wrapping_add(keys.start as u32);
                        for (index, x) in (0..).zip(&mut row[column..column + keys.len()]) {
                            *x *= inverse * mask.factor(first.wrapping_add(index));
                        }
                    }
                }
            },
        );
        let queries = 0..block.queries.len();
        for (nth, (column, keys)) in block.columns().enumerate() {
            multiply(
                text.head_mut(context, queries.clone(), head),
                nth > 0,
                1.0,
                block.columns_of(scores, column, keys.len()),
                text.head(value, keys, head),
                Threads::One,
            );
        }
    }
}
