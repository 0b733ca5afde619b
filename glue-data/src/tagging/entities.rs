//! The entities of a sequence of tags, as seqeval 1.2.2 reads them
//! (<https://github.com/chakki-works/seqeval>, `get_entities` and `scheme.py`).

use std::ops::Range;

use super::scheme::Scheme;

/// An entity of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    /// The type, such as `person`.
    pub label: String,
    /// Its words, by their indices.
    pub words: Range<usize>,
}

/// A tag has a prefix that its scheme does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tag `{tag}` is none of {}, whose prefixes are {}", .scheme.name(), listed(.scheme.prefixes()))]
pub struct UnknownPrefix {
    /// The tag.
    pub tag: String,
    /// The index of its word.
    pub word: usize,
    /// The scheme.
    pub scheme: Scheme,
}

fn listed(prefixes: &[char]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The first letter of a tag and its type.
fn parts(tag: &str) -> (char, &str) {
    let mut letters = tag.chars();
    let first = letters.next().unwrap_or('O');
    let rest = letters.as_str();
    let label = rest.split_once('-').map_or(rest, |(_, label)| label);
    (first, if label.is_empty() { "_" } else { label })
}

/// The entities of a sequence of tags, in their order: seqeval's default mode.
///
/// Every sequence is read, in whatever scheme: an entity begins at `B-` and `S-`, after `E-` and `S-`, and wherever the
/// type changes. In particular an `I-` after `O` begins one.
///
/// ```
/// use glue_data::tagging::entities;
/// let found = entities(&["O", "I-person", "I-person", "B-person", "I-city"]);
/// let found: Vec<_> = found.iter().map(|entity| (entity.label.as_str(), entity.words.clone())).collect();
/// assert_eq!(found, [("person", 1..3), ("person", 3..4), ("city", 4..5)]);
/// ```
pub fn entities(tags: &[impl AsRef<str>]) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut before = ('O', "");
    let all = tags.iter().map(|tag| parts(tag.as_ref())).chain([('O', "_")]);
    for (word, tag) in all.enumerate() {
        if ends(before, tag) {
            found.push(Entity { label: before.1.to_owned(), words: begin..word });
        }
        if begins(before, tag) {
            begin = word;
        }
        before = tag;
    }
    found
}

/// seqeval's `end_of_chunk`: whether an entity ends between two tags.
fn ends(before: (char, &str), tag: (char, &str)) -> bool {
    match (before.0, tag.0) {
        ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
        ('O' | '.', _) => false,
        _ => before.1 != tag.1,
    }
}

/// seqeval's `start_of_chunk`: whether an entity begins with the second of two tags.
fn begins(before: (char, &str), tag: (char, &str)) -> bool {
    match (before.0, tag.0) {
        (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
        (_, 'O' | '.') => false,
        _ => before.1 != tag.1,
    }
}

/// The entities of a sequence of tags that are complete in a scheme, in their order: seqeval's `mode="strict"` with
/// `IOB1`, `IOB2` or `IOBES`. IO has no such mode in seqeval; an entity is then a run of one type.
///
/// # Errors
/// A tag whose prefix is not one of the scheme.
pub fn strict_entities(
    tags: &[impl AsRef<str>],
    scheme: Scheme,
) -> Result<Vec<Entity>, UnknownPrefix> {
    let prefixes = scheme.prefixes();
    for (word, tag) in tags.iter().enumerate() {
        let tag = tag.as_ref();
        if !tag.chars().next().is_some_and(|first| prefixes.contains(&first)) {
            return Err(UnknownPrefix { tag: tag.to_owned(), word, scheme });
        }
    }
    // The type without the dashes around it, as seqeval has it in this mode.
    let tags: Vec<(char, &str)> = tags
        .iter()
        .map(|tag| {
            let mut letters = tag.as_ref().chars();
            let first = letters.next().unwrap_or('O');
            let label = letters.as_str().trim_matches('-');
            (first, if label.is_empty() { "_" } else { label })
        })
        .chain([('O', "_")])
        .collect();
    let mut found = Vec::new();
    let mut word = 0;
    while word < tags.len() {
        let before = if word == 0 { ('O', "_") } else { tags[word - 1] };
        if !is_start(scheme, before, tags[word]) {
            word += 1;
            continue;
        }
        let mut end = word + 1;
        while end < tags.len() && is_inside(tags[end - 1], tags[end]) {
            end += 1;
        }
        // The last tag is `O`, which is inside of nothing.
        if is_end(scheme, tags[end - 1], tags[end]) {
            found.push(Entity { label: tags[word].1.to_owned(), words: word..end });
        }
        word = end;
    }
    Ok(found)
}

/// `start_patterns` of seqeval's schemes.
fn is_start(scheme: Scheme, before: (char, &str), tag: (char, &str)) -> bool {
    let is_same = before.1 == tag.1;
    match scheme {
        Scheme::Bio => tag.0 == 'B',
        Scheme::Bioes => matches!(tag.0, 'B' | 'S'),
        Scheme::Iob1 => match (before.0, tag.0) {
            ('I' | 'B', 'B') => is_same,
            ('O' | 'B', 'I') => true,
            ('I', 'I') => !is_same,
            _ => false,
        },
        Scheme::Io => tag.0 == 'I' && (before.0 == 'O' || !is_same),
    }
}

/// `inside_patterns` of seqeval's schemes: only one with `E` has it in a pattern.
fn is_inside(before: (char, &str), tag: (char, &str)) -> bool {
    matches!((before.0, tag.0), ('B' | 'I', 'I' | 'E')) && before.1 == tag.1
}

/// `end_patterns` of seqeval's schemes, of the tag before the end and the one after it.
fn is_end(scheme: Scheme, before: (char, &str), tag: (char, &str)) -> bool {
    let is_same = before.1 == tag.1;
    match (scheme, before.0, tag.0) {
        (Scheme::Bioes, last, _) => matches!(last, 'S' | 'E'),
        (_, 'I' | 'B', 'O') | (_, 'I', 'B') => true,
        (_, 'I' | 'B', 'I') => !is_same,
        (_, 'B', 'B') => scheme == Scheme::Bio || is_same,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strict(tags: &str, scheme: Scheme) -> Result<Vec<(String, Range<usize>)>, String> {
        let tags: Vec<&str> = tags.split(' ').collect();
        let found = strict_entities(&tags, scheme).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|entity| (entity.label, entity.words)).collect())
    }

    #[test]
    fn a_strict_entity_has_its_first_and_its_last_tag() {
        let person = |words| ("person".to_owned(), words);
        assert_eq!(strict("I-person B-person I-person", Scheme::Bio), Ok(vec![person(1..3)]));
        let tags = "B-person I-person O B-person E-person S-person";
        assert_eq!(strict(tags, Scheme::Bioes), Ok(vec![person(3..5), person(5..6)]));
        let refused = "the tag `E-x` is none of BIO, whose prefixes are O, B, I";
        assert_eq!(strict("O E-x", Scheme::Bio), Err(refused.to_owned()));
    }

    proptest! {
        #[test]
        fn legal_sequences_are_read_alike_in_both_modes(runs in prop::collection::vec((0_usize..3, 1_usize..4), 0..6)) {
            let mut tags: Vec<String> = Vec::new();
            let mut expected = Vec::new();
            for (label, length) in runs {
                if label == 0 {
                    tags.push("O".to_owned());
                    continue;
                }
                expected.push((label, tags.len()..tags.len() + length));
                tags.push(format!("B-{label}"));
                tags.extend((1..length).map(|_| format!("I-{label}")));
            }
            let expected: Vec<Entity> =
                expected.into_iter().map(|(label, words)| Entity { label: label.to_string(), words }).collect();
            prop_assert_eq!(&entities(&tags), &expected);
            prop_assert_eq!(strict_entities(&tags, Scheme::Bio), Ok(expected));
        }
    }
}
