//! The rows of each batch: a pure function of lengths, seed and epoch.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::seed::derive_seed;

/// Number of batches whose rows are sorted by length together. More save padding, fewer mix the rows better.
const BATCHES_PER_BUCKET: usize = 16;

/// The batches of a training epoch, each a list of rows.
///
/// Rows are shuffled; within every sixteen batches they are sorted by length, so that a batch has little padding; then
/// the batches are shuffled. An incomplete last batch is dropped, as in the paper's code, unless it is the only one.
pub fn training_batches(
    lengths: &[usize],
    batch_size: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, &format!("order/{epoch}")));
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut random);
    if order.len() > batch_size {
        order.truncate(order.len() / batch_size * batch_size);
    }
    for bucket in order.chunks_mut(batch_size * BATCHES_PER_BUCKET) {
        bucket.sort_by_key(|row| lengths[*row]);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    batches.shuffle(&mut random);
    batches
}

/// The batches of an evaluation pass: every row once, longest first, so that memory peaks at the start.
pub fn scoring_batches(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_at_most(
            lengths in proptest::collection::vec(1..128_usize, 1..700),
            batch_size in 1..40_usize,
            seed: u64,
        ) {
            let batches = training_batches(&lengths, batch_size, seed, 3);
            let mut rows: Vec<usize> = batches.iter().flatten().copied().collect();
            let expected = if lengths.len() < batch_size { lengths.len() } else { lengths.len() / batch_size * batch_size };
            prop_assert_eq!(rows.len(), expected);
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), expected);
            prop_assert_eq!(&training_batches(&lengths, batch_size, seed, 3), &batches);
        }

        #[test]
        fn a_scoring_pass_sees_every_row_once(
            lengths in proptest::collection::vec(1..128_usize, 0..300),
            batch_size in 1..40_usize,
        ) {
            let mut rows: Vec<usize> = scoring_batches(&lengths, batch_size).into_iter().flatten().collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let lengths = vec![8; 100];
        let first = training_batches(&lengths, 10, 1, 1);
        assert_ne!(training_batches(&lengths, 10, 1, 2), first);
        assert_ne!(training_batches(&lengths, 10, 2, 1), first);
    }
}
