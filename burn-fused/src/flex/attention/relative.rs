//! The terms for distances of disentangled attention: products with the rows of a table that belong to a distance.

use std::ops::Range;

use super::super::matrix::{Matrix, MatrixMut, Threads, multiply};
use super::block::{Block, Text};
use crate::buckets::DistanceBuckets;

/// The rows of the tables for the distances of a text.
#[derive(Debug)]
pub(super) struct Distances {
    /// The number of rows.
    pub(super) rows: usize,
    /// For `key - query + sequence - 1`, the row.
    row: Vec<u32>,
    sequence: usize,
}

impl Distances {
    pub(super) fn new(buckets: DistanceBuckets, sequence: usize) -> Self {
        let last = sequence.saturating_sub(1);
        let rows = buckets.rows(sequence);
        let row = (0..sequence + last).map(|offset| {
            let row = buckets.row(last.saturating_sub(offset), offset.saturating_sub(last));
            (row - rows.start) as u32
        });
        Self { row: row.collect(), rows: rows.len(), sequence }
    }

    /// The rows for one query and some keys of the text.
    fn of(&self, query: usize, keys: &Range<usize>) -> &[u32] {
        &self.row[self.sequence - 1 - query + keys.start..][..keys.len()]
    }

    /// One head of a table `[rows, d_model]`.
    fn head<'d>(&self, text: &Text<'_>, table: &'d [f32], head: usize) -> Matrix<'d> {
        text.head(table, 0..self.rows, head)
    }

    /// Scaled products of queries or of keys with the rows.
    pub(super) fn products(
        &self,
        text: &Text<'_>,
        x: Matrix<'_>,
        table: &[f32],
        head: usize,
        products: &mut [f32],
    ) {
        let count = products.len() / self.rows;
        multiply(
            MatrixMut::new(products, count, self.rows),
            false,
            text.heads.scale,
            x,
            self.head(text, table, head).transposed(),
            Threads::One,
        );
    }

    /// Adds the products of each query with the rows of its distances to the scores.
    pub(super) fn add_of_queries(&self, block: &Block, products: &[f32], scores: &mut [f32]) {
        let products = products.chunks_exact(self.rows);
        for ((query, row), products) in block.rows(scores).zip(products) {
            let distances = self.of(query, &block.positions);
            for (score, &distance) in row[block.prefix..].iter_mut().zip(distances) {
                *score += products[distance as usize];
            }
        }
    }

    /// Adds the products of each key with the rows of its distances to the scores.
    pub(super) fn add_of_keys(&self, block: &Block, products: &[f32], scores: &mut [f32]) {
        for (query, row) in block.rows(scores) {
            let distances = self.of(query, &block.positions);
            let products = products.chunks_exact(self.rows);
            for ((score, &distance), products) in
                row[block.prefix..].iter_mut().zip(distances).zip(products)
            {
                *score += products[distance as usize];
            }
        }
    }

    /// Adds the gradients of the scores to those of the products of queries.
    pub(super) fn gradients_of_queries(
        &self,
        block: &Block,
        scores: &mut [f32],
        products: &mut [f32],
    ) {
        products.fill(0.0);
        let products = products.chunks_exact_mut(self.rows);
        for ((query, row), products) in block.rows(scores).zip(products) {
            let distances = self.of(query, &block.positions);
            for (&gradient, &distance) in row[block.prefix..].iter().zip(distances) {
                products[distance as usize] += gradient;
            }
        }
    }

    /// Adds the gradients of the scores to those of the products of keys.
    pub(super) fn gradients_of_keys(
        &self,
        block: &Block,
        scores: &mut [f32],
        products: &mut [f32],
    ) {
        products.fill(0.0);
        for (query, row) in block.rows(scores) {
            let distances = self.of(query, &block.positions);
            let products = products.chunks_exact_mut(self.rows);
            for ((&gradient, &distance), products) in
                row[block.prefix..].iter().zip(distances).zip(products)
            {
                products[distance as usize] += gradient;
            }
        }
    }

    /// From the gradient of the products of `x` with a table: that of `x`, which is added to, and that of the table, if
    /// it is not empty.
    pub(super) fn backward(
        &self,
        text: &Text<'_>,
        head: usize,
        products: &[f32],
        (x, x_gradient): (Matrix<'_>, MatrixMut<'_>),
        (table, table_gradient): (&[f32], &mut [f32]),
    ) {
        let scale = text.heads.scale;
        let products = Matrix::new(products, products.len() / self.rows, self.rows);
        multiply(x_gradient, true, scale, products, self.head(text, table, head), Threads::One);
        if !table_gradient.is_empty() {
            let out = text.head_mut(table_gradient, 0..self.rows, head);
            multiply(out, true, scale, products.transposed(), x, Threads::One);
        }
    }
}
