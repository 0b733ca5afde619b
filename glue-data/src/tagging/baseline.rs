//! A baseline for the tags of words: the most frequent tag of each word in the training rows.

use std::collections::HashMap;

use super::TaggedText;
use crate::task_kind::argmax;

/// The most frequent tag for every word; `None` without a tagged word.
pub fn majority_tags(train: &[TaggedText], texts: &[TaggedText]) -> Option<Vec<Vec<usize>>> {
    let most_frequent = most_frequent(train)?;
    Some(texts.iter().map(|text| vec![most_frequent; text.words.len()]).collect())
}

/// For each word, the tag that it has most often in the training rows, where upper and lower case differ; the most frequent
/// tag of all for a word that is not in them. `None` without a tagged word.
///
/// The "most frequent class baseline" of Jurafsky and Martin, *Speech and Language Processing*.
pub fn word_tags(train: &[TaggedText], texts: &[TaggedText]) -> Option<Vec<Vec<usize>>> {
    let most_frequent = most_frequent(train)?;
    let mut counts: HashMap<&str, Vec<usize>> = HashMap::new();
    for (word, tag) in train.iter().flat_map(tagged_words) {
        add(counts.entry(word).or_default(), tag);
    }
    let tag = |word: &str| counts.get(word).and_then(|counts| argmax(counts));
    let predict = |text: &TaggedText| {
        let words = text.words.iter().map(|word| tag(&text.text[word.clone()]));
        words.map(|tag| tag.unwrap_or(most_frequent)).collect()
    };
    Some(texts.iter().map(predict).collect())
}

fn most_frequent(train: &[TaggedText]) -> Option<usize> {
    let mut counts = Vec::new();
    train.iter().flat_map(tagged_words).for_each(|(_, tag)| add(&mut counts, tag));
    argmax(&counts)
}

fn tagged_words(text: &TaggedText) -> impl Iterator<Item = (&str, usize)> {
    let words = text.words.iter().map(|word| &text.text[word.clone()]);
    words.zip(text.tags.iter().flatten().copied())
}

fn add(counts: &mut Vec<usize>, tag: usize) {
    counts.resize(counts.len().max(tag + 1), 0);
    counts[tag] += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that are separated by spaces.
    fn text(words: &str, tags: &[usize]) -> TaggedText {
        let mut start = 0;
        let ranges = words.split(' ').map(|word| {
            let range = start..start + word.len();
            start += word.len() + 1;
            range
        });
        TaggedText {
            words: ranges.collect(),
            text: words.to_owned(),
            tags: Some(tags.to_vec()),
            line: 1,
        }
    }

    #[test]
    fn a_word_has_its_most_frequent_tag() {
        let train = [text("may I see May", &[2, 2, 2, 0]), text("see May may May", &[2, 0, 1, 1])];
        let rows = [text("may May See", &[0, 0, 0])];
        assert_eq!(word_tags(&train, &rows).unwrap(), [[1, 0, 2]]);
        assert_eq!(majority_tags(&train, &rows).unwrap(), [[2, 2, 2]]);
        assert_eq!((word_tags(&[], &rows), majority_tags(&[], &rows)), (None, None));
    }
}
