//! Validation rows out of the training rows of a user's own file.

use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{DataError, LabelError};
use crate::rows::Example;
use crate::seed::derive_seed;
use crate::task_kind::Label;

/// Without a validation file, one of this many training rows is held out.
const HELD_OUT_ONE_IN: usize = 10;

/// Holds out a tenth of the rows of each class, and at least one row in all. At least one row of each class is kept for
/// training.
pub(super) fn hold_out(
    path: &Path,
    rows: Vec<Example>,
    seed: u64,
) -> Result<(Vec<Example>, Vec<Example>), DataError> {
    // Rows without a class are of one class.
    let class = |index: usize| rows[index].label.as_ref().and_then(Label::class).unwrap_or(0);
    let mut of_class = vec![0_usize; (0..rows.len()).map(class).max().map_or(0, |class| class + 1)];
    for index in 0..rows.len() {
        of_class[class(index)] += 1;
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(seed, "hold-out")));
    order.retain(|index| of_class[class(*index)] > 1);
    // A stable sort: within a class the order is still the seed's.
    order.sort_by_key(|index| class(*index));

    // Of two adjacent rows of a class, at most one is held out.
    let mut is_held = vec![false; rows.len()];
    let indices = order.iter().skip(HELD_OUT_ONE_IN / 2).step_by(HELD_OUT_ONE_IN);
    for index in indices {
        is_held[*index] = true;
    }
    if order.len() <= HELD_OUT_ONE_IN / 2 {
        let first = order.first().ok_or_else(|| {
            DataError::from(LabelError::NothingToHoldOut {
                path: path.to_owned(),
                rows: rows.len(),
            })
        })?;
        is_held[*first] = true;
    }
    let (held, kept): (Vec<_>, Vec<_>) =
        rows.into_iter().zip(is_held).partition(|(_, is_held)| *is_held);
    let examples = |rows: Vec<(Example, bool)>| rows.into_iter().map(|(row, _)| row).collect();
    Ok((examples(kept), examples(held)))
}
