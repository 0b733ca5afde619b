//! A bias of the attention's scores for the distance between query and key, as MPNet has it.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/mpnet/modeling_mpnet.py> (`MPNetEncoder`)

use burn::nn::Embedding;
use burn::tensor::{DType, Int, Tensor, TensorData};

/// The number of rows of a table for distances in transformers, whatever the number of its rows is: `num_buckets` of
/// `compute_position_bias`.
pub(crate) const BUCKETS: usize = 32;
/// From this distance on, all have the same row.
const MAX_DISTANCE: usize = 128;

/// The bias of every query and key of a text: `[1, heads, sequence, sequence]`.
///
/// # Shapes
/// - table: `[buckets, heads]`
pub(crate) fn relative_bias(table: &Embedding, sequence: usize, dtype: DType) -> Tensor<4> {
    let table = table.weight.val();
    let [_, heads] = table.dims();
    // From the first query and the last key to the last query and the first key.
    let last = sequence - 1;
    let of_distances: Vec<i64> = (0..=2 * last).map(|offset| row(offset, last) as i64).collect();
    let rows: Vec<i64> = (0..sequence)
        .flat_map(|query| &of_distances[last - query..=2 * last - query])
        .copied()
        .collect();
    let rows = TensorData::new(rows, [sequence * sequence]);
    let rows = Tensor::<1, Int>::from_data(rows, &table.device());
    let bias = table.select(0, rows).cast(dtype); // [sequence · sequence, heads]
    bias.swap_dims(0, 1).reshape([1, heads, sequence, sequence])
}

/// The row for a key at position `key` and a query at position `query` (`relative_position_bucket`).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in single precision as in transformers; the number is from 0 to 8 times the logarithm of the longest text"
)]
fn row(key: usize, query: usize) -> usize {
    const OF_ONE_SIDE: usize = BUCKETS / 2;
    const EXACT: usize = OF_ONE_SIDE / 2;
    let distance = key.abs_diff(query);
    let row = if distance < EXACT {
        distance
    } else {
        let octaves = (distance as f32 / EXACT as f32).ln();
        let all = (MAX_DISTANCE as f64 / EXACT as f64).ln() as f32;
        let row = EXACT + (octaves / all * (OF_ONE_SIDE - EXACT) as f32) as usize;
        row.min(OF_ONE_SIDE - 1)
    };
    if key > query { OF_ONE_SIDE + row } else { row }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn rows_of_distances_are_those_of_transformers() {
        #[derive(Deserialize)]
        struct Golden {
            key_minus_query: Vec<i64>,
            row: Vec<usize>,
        }
        let text = include_str!("../tests/fixtures/families/mpnet_buckets.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        for (distance, expected) in golden.key_minus_query.into_iter().zip(golden.row) {
            let forward = usize::try_from(distance).unwrap_or(0);
            let backward = usize::try_from(-distance).unwrap_or(0);
            assert_eq!(row(forward, backward), expected, "{distance}");
        }
    }
}
