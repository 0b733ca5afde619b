//! The probe in an adapter file: two synthetic texts and the model's logits for them.
//! It detects that base, adapter and code no longer compute the same, which shapes and checksums cannot.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_bert::{BertInput, Encoder, Precision};
use serde::{Deserialize, Serialize};

use crate::error::FileError;
use crate::model::adapted::AdaptedBert;

const TEXTS: usize = 2;
/// Tokens a text, fewer where the base has fewer positions.
const LENGTH: usize = 12;

/// Token ids, and the logits a model gave for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Token ids, one row a text, all rows of one length.
    pub input_ids: Vec<Vec<u64>>,
    /// Token type of each token.
    pub token_type_ids: Vec<Vec<u64>>,
    /// One row a text, computed without dropout.
    pub logits: Vec<Vec<f32>>,
    /// The base's precision when they were computed.
    #[serde(default, skip_serializing_if = "is_single")]
    pub precision: Precision,
}

impl Probe {
    /// A probe of a model: ids from its whole vocabulary; the second text has two segments.
    pub fn of(model: &AdaptedBert) -> Self {
        let (input_ids, token_type_ids) = texts(&model.bert);
        let logits = logits(model, &input_ids, &token_type_ids);
        Self { input_ids, token_type_ids, logits, precision: model.bert.precision() }
    }

    /// Checks that a model still computes these logits.
    ///
    /// # Errors
    /// If the texts are not those for this base, or a logit differs.
    pub fn check(&self, path: &Path, model: &AdaptedBert) -> Result<(), FileError> {
        // Ids of a malicious file could be out of range; the texts depend on the base alone.
        let (input_ids, token_type_ids) = texts(&model.bert);
        let differs = |difference, tolerance| FileError::Probe {
            path: path.to_owned(),
            difference,
            tolerance,
        };
        let tolerance = tolerance([self.precision, model.bert.precision()]);
        if self.input_ids != input_ids || self.token_type_ids != token_type_ids {
            return Err(differs(f32::NAN, tolerance));
        }
        let found = logits(model, &input_ids, &token_type_ids);
        let shapes = |logits: &[Vec<f32>]| logits.iter().map(Vec::len).collect::<Vec<_>>();
        if shapes(&found) != shapes(&self.logits) {
            return Err(differs(f32::NAN, tolerance));
        }
        let worst = largest_difference(&found, &self.logits);
        if worst <= tolerance { Ok(()) } else { Err(differs(worst, tolerance)) }
    }
}

/// The largest difference between logits of one shape, relative to values above 1; NaN if a logit is not finite.
fn largest_difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    let differences =
        pairs.map(|(found, expected)| (found - expected).abs() / expected.abs().max(1.0));
    // `f32::max` would pass over NaN.
    differences.fold(
        0.0,
        |worst: f32, next| {
            if worst.is_nan() || next.is_nan() { f32::NAN } else { worst.max(next) }
        },
    )
}

/// Relative to logits above 1: kernels of different devices sum in different orders, and half precision rounds.
fn tolerance(precisions: [Precision; 2]) -> f32 {
    if precisions == [Precision::F32; 2] { 1e-3 } else { 0.1 }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_single(precision: &Precision) -> bool {
    *precision == Precision::F32
}

fn texts(bert: &dyn Encoder) -> (Vec<Vec<u64>>, Vec<Vec<u64>>) {
    let sizes = bert.embedding_sizes();
    let (vocabulary, types) = (sizes.vocab_size, sizes.token_types);
    let length = LENGTH.min(sizes.positions);
    // Steps of the golden ratio reach every part of a vocabulary of any size.
    let id = |index: usize| ((index + 1) * 40_503 % 65_536 * vocabulary / 65_536) as u64;
    let token_type = |index: usize| u64::from(types > 1 && index >= length + length / 2);
    let rows = |value: &dyn Fn(usize) -> u64| {
        let row = |text| (text * length..(text + 1) * length).map(value).collect();
        (0..TEXTS).map(row).collect()
    };
    (rows(&id), rows(&token_type))
}

fn logits(
    model: &AdaptedBert,
    input_ids: &[Vec<u64>],
    token_type_ids: &[Vec<u64>],
) -> Vec<Vec<f32>> {
    let model = model.valid();
    let device = model.bert.device();
    let tensor = |rows: &[Vec<u64>]| {
        let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
        Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), shape), &device)
    };
    let input_ids = tensor(input_ids);
    let input = BertInput {
        attention_mask: Tensor::<2, Bool>::full(input_ids.dims(), true, &device),
        input_ids,
        token_type_ids: tensor(token_type_ids),
    };
    let logits = model.forward(&input);
    let [_, outputs] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    values.chunks(outputs).map(<[f32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_is_kept_and_nan_is_one() {
        let rows = |values: [f32; 3]| vec![values.to_vec()];
        let zeros = rows([0.0; 3]);
        let close = |found: f32, expected: f32| (found - expected).abs() < 1e-6;
        assert!(close(largest_difference(&rows([0.1, 0.7, 0.2]), &zeros), 0.7));
        assert!(close(largest_difference(&rows([30.0, 0.0, 0.0]), &rows([10.0, 0.0, 0.0])), 2.0));
        for place in 0..3 {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut found = [0.5, 0.25, 0.125];
                found[place] = bad;
                let difference = largest_difference(&rows(found), &zeros);
                assert!(!difference.is_finite(), "{bad} at {place}: {difference}");
                let mut expected = [0.0; 3];
                expected[place] = bad;
                let both = largest_difference(&rows(found), &rows(expected));
                assert!(both.is_nan(), "{bad} at {place}: {both}");
            }
        }
    }
}
