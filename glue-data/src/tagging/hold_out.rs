//! Validation texts out of the training texts of a user's own file.

use std::collections::BTreeSet;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::TaggedText;
use crate::error::{DataError, LabelError};
use crate::seed::derive_seed;

/// Without a validation file, one of this many training texts is held out.
const HELD_OUT_ONE_IN: usize = 10;

/// Holds out a tenth of the texts, and at least one; returns the others and those, in their order. A text is held out only
/// if each of its tags is in a text that is not.
///
/// # Errors
/// If no text can be held out.
pub fn hold_out(
    path: &Path,
    texts: Vec<TaggedText>,
    seed: u64,
) -> Result<(Vec<TaggedText>, Vec<TaggedText>), DataError> {
    let tags: Vec<BTreeSet<usize>> =
        texts.iter().map(|text| text.tags.iter().flatten().copied().collect()).collect();
    let mut left = vec![0_usize; tags.iter().flatten().max().map_or(0, |tag| tag + 1)];
    tags.iter().flatten().for_each(|tag| left[*tag] += 1);
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(seed, "hold-out")));

    let wanted = (texts.len() / HELD_OUT_ONE_IN).max(1);
    let mut is_held = vec![false; texts.len()];
    let mut held = 0;
    for index in order {
        if held < wanted && tags[index].iter().all(|tag| left[*tag] > 1) {
            tags[index].iter().for_each(|tag| left[*tag] -= 1);
            is_held[index] = true;
            held += 1;
        }
    }
    if held == 0 || held == texts.len() {
        let (path, rows) = (path.to_owned(), texts.len());
        return Err(LabelError::NothingToHoldOut { path, rows }.into());
    }
    let (held, kept): (Vec<_>, Vec<_>) =
        texts.into_iter().zip(is_held).partition(|(_, is_held)| *is_held);
    let texts = |part: Vec<(TaggedText, bool)>| part.into_iter().map(|(text, _)| text).collect();
    Ok((texts(kept), texts(held)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(line: usize, tags: &[usize]) -> TaggedText {
        let words = (0..tags.len()).map(|word| 2 * word..2 * word + 1).collect();
        TaggedText { text: "a ".repeat(tags.len()), words, tags: Some(tags.to_vec()), line }
    }

    proptest! {
        #[test]
        fn no_tag_loses_its_last_training_text(
            tags in prop::collection::vec(prop::collection::vec(0_usize..6, 0..4), 2..60),
            seed: u64,
        ) {
            let texts: Vec<_> = tags.iter().zip(1..).map(|(tags, line)| text(line, tags)).collect();
            let path = Path::new("a.conll");
            let Ok((kept, held)) = hold_out(path, texts.clone(), seed) else { return Ok(()) };
            prop_assert_eq!(held.len() + kept.len(), texts.len());
            prop_assert!(!held.is_empty() && held.len() <= (texts.len() / 10).max(1));
            let all = |texts: &[TaggedText]| -> BTreeSet<usize> {
                texts.iter().flat_map(|text| text.tags.clone().unwrap()).collect()
            };
            prop_assert_eq!(all(&kept), all(&texts));
            prop_assert!(kept.is_sorted_by_key(|text| text.line));
            prop_assert_eq!(hold_out(path, texts, seed).unwrap(), (kept, held));
        }
    }

    #[test]
    fn the_only_text_with_a_tag_is_not_held_out() {
        let path = Path::new("a.conll");
        let (kept, held) = hold_out(path, vec![text(1, &[0, 1]), text(2, &[0])], 3).unwrap();
        assert_eq!((kept[0].line, held[0].line), (1, 2));
        assert!(hold_out(path, vec![text(1, &[1]), text(2, &[0])], 3).is_err());
        assert!(hold_out(path, vec![text(1, &[])], 3).is_err());
    }
}
