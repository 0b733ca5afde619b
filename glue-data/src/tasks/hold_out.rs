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
///
/// Of several labels a row, the one with the fewest rows counts as its class.
pub(super) fn hold_out(
    path: &Path,
    rows: Vec<Example>,
    seed: u64,
) -> Result<(Vec<Example>, Vec<Example>), DataError> {
    let labels = |index: usize| rows[index].label.as_ref().map_or(&[][..], Label::classes);
    let indices = || 0..rows.len();
    let n_labels = indices().flat_map(labels).max().map_or(0, |label| label + 1);
    // How many rows have each label and are not held out.
    let mut left = vec![0_usize; n_labels];
    indices().flat_map(labels).for_each(|label| left[*label] += 1);
    // Rows without a label are of one class.
    let class = {
        let rows_of = left.clone();
        move |index: usize| labels(index).iter().min_by_key(|label| rows_of[**label]).copied()
    };
    let without_label = indices().filter(|index| class(*index).is_none()).count();
    let is_spare = |left: &[usize], index: usize| match labels(index) {
        [] => without_label > 1,
        labels => labels.iter().all(|label| left[*label] > 1),
    };
    let mut order: Vec<usize> = indices().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(seed, "hold-out")));
    order.retain(|index| is_spare(&left, *index));
    // A stable sort: within a class the order is still the seed's.
    order.sort_by_key(|index| class(*index));

    // Of two adjacent rows of a class, at most one is held out.
    let mut is_held = vec![false; rows.len()];
    for index in order.iter().skip(HELD_OUT_ONE_IN / 2).step_by(HELD_OUT_ONE_IN) {
        // Other labels of the row may have lost rows with other classes.
        if is_spare(&left, *index) {
            labels(*index).iter().for_each(|label| left[*label] -= 1);
            is_held[*index] = true;
        }
    }
    if !is_held.contains(&true) {
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
