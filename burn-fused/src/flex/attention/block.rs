//! Which scores of a text are computed: the keys up to the last token, in blocks of queries with the keys they see.

use std::ops::Range;

use super::super::matrix::{Matrix, MatrixMut, Threads, multiply};
use super::super::simd::{is_finite, vectorised};
use super::{Heads, Slices};

/// The most queries in a block: the scores of a block and a head stay in the cache.
const MOST_QUERIES: usize = 128;
/// The fewest queries in a block with a window, which computes some scores outside of it.
const FEWEST_QUERIES: usize = 32;

/// Sizes and mask of one text.
pub(super) struct Text<'a> {
    pub(super) heads: &'a Heads,
    pub(super) index: usize,
    sequence: usize,
    d_model: usize,
    pub(super) d_head: usize,
    /// The number of keys in front of those of the text.
    pub(super) prefix: usize,
    /// Keys up to that of the last token; the rest have probability 0. All keys if an input is NaN or infinite, which
    /// a probability of 0 would not hide.
    pub(super) keys: usize,
    /// All keys: the row length in the dropout mask.
    pub(super) all_keys: usize,
    /// Which keys belong to a token; if none does, all have the same probability.
    tokens: &'a [bool],
}

/// Queries that are computed together, and the keys that they see: the columns of their scores.
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    /// The number of keys in front of those of the text.
    pub(super) prefix: usize,
    /// The keys of the text, behind those.
    pub(super) positions: Range<usize>,
}

impl Block {
    /// The number of keys.
    pub(super) fn width(&self) -> usize {
        self.prefix + self.positions.len()
    }

    /// The columns of the keys in the window of a query, behind the prefix.
    fn near(&self, query: usize, window: usize) -> Range<usize> {
        let Range { start, end } = self.positions;
        let column = |position: usize| self.prefix + position.clamp(start, end) - start;
        column(query.saturating_sub(window))..column(query.saturating_add(window).saturating_add(1))
    }

    /// The keys that follow one another, with the column of their first.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let Range { start, end } = self.positions.clone();
        let prefix = self.prefix;
        let parts = if start == 0 {
            [(0, 0..prefix + end), (prefix, 0..0)]
        } else {
            [(0, 0..prefix), (prefix, prefix + start..prefix + end)]
        };
        parts.into_iter().filter(|(_, keys)| !keys.is_empty())
    }

    /// Some columns of the block's rows.
    pub(super) fn columns_of<'d>(
        &self,
        rows: &'d [f32],
        column: usize,
        count: usize,
    ) -> Matrix<'d> {
        Matrix::strided(&rows[column..], self.queries.len(), count, self.width())
    }

    /// Some columns of the block's rows, to write.
    pub(super) fn part<'d>(
        &self,
        rows: &'d mut [f32],
        column: usize,
        count: usize,
    ) -> MatrixMut<'d> {
        MatrixMut::strided(&mut rows[column..], self.queries.len(), count, self.width())
    }

    /// The rows of the block with their queries.
    #[inline(always)]
    pub(super) fn rows<'d>(
        &self,
        rows: &'d mut [f32],
    ) -> impl Iterator<Item = (usize, &'d mut [f32])> + use<'d> {
        self.queries.clone().zip(rows.chunks_exact_mut(self.width()))
    }
}

/// The number of queries in a block.
pub(super) fn queries_at_once(heads: &Heads, sequence: usize) -> usize {
    match heads.window {
        // The products with the tables of distances are those of all queries and keys.
        _ if heads.distances.is_some() => sequence,
        Some(window) => window.clamp(FEWEST_QUERIES, MOST_QUERIES),
        None => MOST_QUERIES,
    }
}

impl<'a> Text<'a> {
    /// `inputs` are those of this text: query, key, value and, in the backward pass, the gradient.
    pub(super) fn new<const N: usize>(
        slices: &Slices,
        heads: &'a Heads,
        index: usize,
        inputs: [&[f32]; N],
    ) -> Self {
        let tokens = &heads.tokens[index];
        let all_keys = tokens.len();
        let last = tokens.iter().rposition(|&token| token);
        let keys = last.map_or(all_keys, |last| last + 1);
        // Outside of a window nothing is computed either.
        let skips = keys == all_keys
            || heads.window.is_some()
            || vectorised(|| inputs.into_iter().all(is_finite));
        let keys = if skips { keys } else { all_keys };
        Self {
            heads,
            index,
            sequence: slices.sequence,
            d_model: slices.d_model,
            d_head: slices.d_model / heads.count,
            prefix: all_keys.saturating_sub(slices.sequence),
            keys,
            all_keys,
            tokens: &tokens[..keys],
        }
    }

    /// The block of these queries.
    pub(super) fn block(&self, queries: Range<usize>) -> Block {
        let end = self.keys.saturating_sub(self.prefix);
        let positions = match self.heads.window {
            None => 0..end,
            Some(window) => {
                let end = queries.end.saturating_add(window).min(end);
                queries.start.saturating_sub(window).min(end)..end
            }
        };
        Block { queries, prefix: self.prefix.min(self.keys), positions }
    }

    /// All blocks of the text.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        let (sequence, at_once) = (self.sequence, queries_at_once(self.heads, self.sequence));
        (0..sequence)
            .step_by(at_once)
            .map(move |first| self.block(first..sequence.min(first + at_once)))
    }

    /// One head of some positions, of data that starts with the text.
    pub(super) fn head<'d>(
        &self,
        data: &'d [f32],
        positions: Range<usize>,
        head: usize,
    ) -> Matrix<'d> {
        let first = positions.start * self.d_model + head * self.d_head;
        Matrix::strided(&data[first..], positions.len(), self.d_head, self.d_model)
    }

    pub(super) fn head_mut<'d>(
        &self,
        data: &'d mut [f32],
        positions: Range<usize>,
        head: usize,
    ) -> MatrixMut<'d> {
        let first = positions.start * self.d_model + head * self.d_head;
        MatrixMut::strided(&mut data[first..], positions.len(), self.d_head, self.d_model)
    }

    /// Whether all keys have the same probability, because the text is padding only.
    pub(super) fn is_uniform(&self) -> bool {
        self.heads.window.is_none() && !self.tokens.contains(&true)
    }

    /// The keys at some positions of the text.
    pub(super) fn keys_of(&self, positions: &Range<usize>) -> Range<usize> {
        self.prefix + positions.start..self.prefix + positions.end
    }

    /// The scaled products of the queries and the keys of a block.
    pub(super) fn products(
        &self,
        query: &[f32],
        key: &[f32],
        block: &Block,
        head: usize,
        scores: &mut [f32],
    ) {
        for (column, keys) in block.columns() {
            multiply(
                block.part(scores, column, keys.len()),
                false,
                self.heads.scale,
                self.head(query, block.queries.clone(), head),
                self.head(key, keys, head).transposed(),
                Threads::One,
            );
        }
    }

    /// Adds the bias, `[sequence, sequence]`, to the scores of a block.
    pub(super) fn add_bias(&self, bias: &[f32], block: &Block, scores: &mut [f32]) {
        for (query, row) in block.rows(scores) {
            let bias = &bias[query * self.sequence + block.positions.start..];
            for (score, &bias) in row[block.prefix..].iter_mut().zip(bias) {
                *score += bias;
            }
        }
    }

    /// Writes the gradients of the scores to those of the bias, `[heads, sequence, sequence]`.
    pub(super) fn store_bias_gradient(
        &self,
        block: &Block,
        head: usize,
        scores: &mut [f32],
        bias: &mut [f32],
    ) {
        for (query, row) in block.rows(scores) {
            let first = (head * self.sequence + query) * self.sequence + block.positions.start;
            let row = &row[block.prefix..];
            bias[first..first + row.len()].copy_from_slice(row);
        }
    }

    /// Sets the columns of padding and those outside of the window.
    pub(super) fn hide(&self, block: &Block, rows: &mut [f32], value: f32) {
        if let Some(window) = self.heads.window {
            for (query, row) in block.rows(rows) {
                let near = block.near(query, window);
                row[block.prefix..near.start].fill(value);
                row[near.end..].fill(value);
            }
        }
        for (column, keys) in block.columns() {
            let tokens = &self.tokens[keys];
            if tokens.iter().all(|&token| token) {
                continue;
            }
            for (_, row) in block.rows(rows) {
                for (x, _) in row[column..].iter_mut().zip(tokens).filter(|(_, token)| !**token) {
                    *x = value;
                }
            }
        }
    }

    /// The index of the text's head among those of all texts.
    pub(super) fn head_index(&self, head: usize) -> usize {
        self.index * self.heads.count + head
    }
}
