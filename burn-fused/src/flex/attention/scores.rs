//! The scores of a block of queries, one head at a time.

use super::Slices;
use super::block::{Block, Text};
use super::relative::Distances;

/// The scores of one head of a block, and what they are computed from.
pub(super) struct Scores<'a> {
    slices: &'a Slices,
    text: &'a Text<'a>,
    block: &'a Block,
    values: Vec<f32>,
    /// Products of queries and of keys with the tables of distances.
    products: [Vec<f32>; 2],
}

impl<'a> Scores<'a> {
    pub(super) fn new(slices: &'a Slices, text: &'a Text<'a>, block: &'a Block) -> Self {
        let products = match &text.heads.distances {
            Some(distances) => product_sizes(slices, block, distances).map(|size| vec![0.0; size]),
            None => [Vec::new(), Vec::new()],
        };
        let values = vec![0.0; block.queries.len() * block.width()];
        Self { slices, text, block, values, products }
    }

    /// The scores of a head, scaled and masked: `[queries, keys]`.
    pub(super) fn of_head(&mut self, head: usize) -> &mut [f32] {
        let Self { slices, text, block, values: scores, products } = self;
        let [query, key, _] = slices.text(text.index);
        if text.is_uniform() {
            // Not `f32::MIN`, to which the logarithm of their number could not be added.
            scores.fill(0.0);
            return scores;
        }
        text.products(query, key, block, head, scores);
        if let Some(distances) = &text.heads.distances {
            let [queries, keys] = products;
            let [key_table, query_table] = slices.tables(text.heads, text.index);
            if let Some(table) = key_table {
                let x = text.head(query, block.queries.clone(), head);
                distances.products(text, x, table, head, queries);
                distances.add_of_queries(block, queries, scores);
            }
            if let Some(table) = query_table {
                let x = text.head(key, text.keys_of(&block.positions), head);
                distances.products(text, x, table, head, keys);
                distances.add_of_keys(block, keys, scores);
            }
        }
        if let Some(bias) = slices.bias(text.heads, text.index, head) {
            text.add_bias(bias, block, scores);
        }
        // In a window, a row may have hidden keys only, and then has the sum 0. Otherwise as in plain Burn.
        let hidden = if text.heads.window.is_some() { f32::NEG_INFINITY } else { f32::MIN };
        text.hide(block, scores, hidden);
        scores
    }
}

/// The sizes of the products of a block's queries and keys with the tables of distances; 0 where there is no table.
pub(super) fn product_sizes(slices: &Slices, block: &Block, distances: &Distances) -> [usize; 2] {
    let size = |has_table: bool, count: usize| if has_table { count * distances.rows } else { 0 };
    [
        size(slices.relative_key.is_some(), block.queries.len()),
        size(slices.relative_query.is_some(), block.positions.len()),
    ]
}
