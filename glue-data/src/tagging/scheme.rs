//! The schemes by which tags stand for entities: how one is recognized, what is illegal in it, and its conversion.

use std::collections::BTreeSet;

use super::entities::entities;

/// The tag of a word outside of every entity.
pub const OUTSIDE: &str = "O";

/// A scheme of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `B-` at the first word of every entity and `I-` at the others; also called IOB2.
    Bio,
    /// As IO, with `B-` only where an entity directly follows another of its type; also called IOB, as in CoNLL 2003.
    Iob1,
    /// `B-`, `I-` and `E-` at the first, the inner and the last words, and `S-` at the only word of an entity. BILOU is
    /// the same with the letters `L` and `U`, which are read as `E` and `S`.
    Bioes,
    /// `I-` at every word of an entity.
    Io,
}

/// Why the scheme of some tags is not recognized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownScheme {
    /// The prefixes are of several schemes.
    #[error(
        "its tags have the prefixes {found}, which no scheme has together; expected those of BIO, IOB1, BIOES, BILOU or IO"
    )]
    Mixed {
        /// The prefixes.
        found: String,
    },
    /// The tags are of a scheme that is not read.
    #[error(
        "its tags have the prefixes {found}, as in IOE1 and IOE2, which are not read; convert them to BIO, IOB1, BIOES, \
         BILOU or IO"
    )]
    Ioe {
        /// The prefixes.
        found: String,
    },
}

/// Why a tag is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// There is no tag.
    #[error("the tag is empty; a word outside of every entity has the tag `O`")]
    Empty,
    /// A prefix without a type.
    #[error("it has no type; expected `O`, or a prefix and a type, such as `B-person`")]
    NoType,
    /// No prefix.
    #[error("expected `O`, or a prefix (B-, I-, E-, S-, L-, U-) and a type, such as `B-person`")]
    NoPrefix,
}

/// The prefix of a tag and its type; the type of `O` is empty.
///
/// # Errors
/// If it is not `O`, or one of the prefixes `B-`, `I-`, `E-`, `S-`, `L-` and `U-` before a type.
pub fn parse_tag(tag: &str) -> Result<(char, &str), TagFault> {
    if tag == OUTSIDE {
        return Ok(('O', ""));
    }
    let mut letters = tag.chars();
    match letters.next() {
        None => Err(TagFault::Empty),
        Some(prefix @ ('B' | 'I' | 'E' | 'S' | 'L' | 'U')) => match letters.as_str() {
            "" | "-" => Err(TagFault::NoType),
            rest => rest
                .strip_prefix('-')
                .filter(|label| !label.trim().is_empty())
                .map(|label| (prefix, label))
                .ok_or(TagFault::NoPrefix),
        },
        Some(_) => Err(TagFault::NoPrefix),
    }
}

impl Scheme {
    /// The name, as users know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bio => "BIO",
            Self::Iob1 => "IOB1",
            Self::Bioes => "BIOES",
            Self::Io => "IO",
        }
    }

    /// The prefixes of its tags.
    pub fn prefixes(self) -> &'static [char] {
        match self {
            Self::Bio | Self::Iob1 => &['O', 'B', 'I'],
            Self::Bioes => &['O', 'B', 'I', 'E', 'S'],
            Self::Io => &['O', 'I'],
        }
    }

    /// Recognizes the scheme of all sequences of a file, whose tags are prefixes and types as of [`parse_tag`].
    ///
    /// A file of `I-` and `O` alone is IO. With `B-` it is BIO, unless every `B-` directly follows an entity of its type:
    /// then it is IOB1. `E-` and `S-`, or `L-` and `U-`, make it BIOES.
    ///
    /// # Errors
    /// If the prefixes are of no scheme, or of one with `E-` alone.
    pub fn recognize<'a>(
        sequences: impl IntoIterator<Item = &'a [(char, &'a str)]>,
    ) -> Result<Self, UnknownScheme> {
        let mut found = BTreeSet::new();
        let mut all_follow = true;
        for tags in sequences {
            let mut before = ('O', "");
            for tag in tags {
                found.insert(tag.0);
                all_follow &= tag.0 != 'B' || Self::Iob1.allows(before, *tag);
                before = *tag;
            }
        }
        let has = |letters: &[char]| letters.iter().any(|letter| found.contains(letter));
        let named = || {
            let prefixes = found.iter().filter(|prefix| **prefix != 'O');
            prefixes.map(|prefix| format!("{prefix}-")).collect::<Vec<_>>().join(", ")
        };
        match (has(&['E', 'S']), has(&['L', 'U'])) {
            (true, true) => Err(UnknownScheme::Mixed { found: named() }),
            (true, false) if !has(&['B', 'S']) => Err(UnknownScheme::Ioe { found: named() }),
            (false, true) if !has(&['B', 'U']) => Err(UnknownScheme::Mixed { found: named() }),
            (true, false) | (false, true) => Ok(Self::Bioes),
            (false, false) if !has(&['B']) => Ok(Self::Io),
            (false, false) if all_follow => Ok(Self::Iob1),
            (false, false) => Ok(Self::Bio),
        }
    }

    /// Whether a tag may follow another, which is `O` at the start; `O` follows the last.
    fn allows(self, before: (char, &str), tag: (char, &str)) -> bool {
        let continues = matches!(before.0, 'B' | 'I') && before.1 == tag.1;
        match self {
            Self::Bio => tag.0 != 'I' || continues,
            Self::Iob1 => tag.0 != 'B' || continues,
            Self::Bioes => match before.0 {
                'B' | 'I' => matches!(tag.0, 'I' | 'E' | 'L') && continues,
                _ => matches!(tag.0, 'O' | 'B' | 'S' | 'U'),
            },
            Self::Io => true,
        }
    }

    /// The words whose tag is illegal after that of the word before, or before the end.
    pub fn illegal(self, tags: &[(char, &str)]) -> impl Iterator<Item = usize> {
        let before = std::iter::once(('O', "")).chain(tags.iter().copied());
        let tags = tags.iter().copied().chain([('O', "")]);
        let last = tags.clone().count().saturating_sub(2);
        let pairs = before.zip(tags).enumerate();
        pairs
            .filter(move |(_, (before, tag))| !self.allows(*before, *tag))
            .map(move |(word, _)| word.min(last))
    }
}

/// The tags of BIO for the entities of some tags, as seqeval's default mode reads them.
pub fn to_bio(tags: &[impl AsRef<str>]) -> Vec<String> {
    let mut converted = vec![OUTSIDE.to_owned(); tags.len()];
    for entity in entities(tags) {
        let start = entity.words.start;
        for word in entity.words {
            let prefix = if word == start { 'B' } else { 'I' };
            converted[word] = format!("{prefix}-{}", entity.label);
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(tags: &str) -> Vec<(char, &str)> {
        tags.split(' ').map(|tag| parse_tag(tag).unwrap()).collect()
    }

    fn recognized(sequences: &[&str]) -> Result<Scheme, String> {
        let sequences: Vec<_> = sequences.iter().map(|tags| parsed(tags)).collect();
        Scheme::recognize(sequences.iter().map(Vec::as_slice)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scheme_is_recognized_by_all_tags_of_a_file() {
        assert_eq!(recognized(&["O I-x I-x", "I-y O"]), Ok(Scheme::Io));
        assert_eq!(recognized(&["O B-x I-x", "I-y O"]), Ok(Scheme::Bio));
        assert_eq!(recognized(&["O I-x B-x", "I-y O"]), Ok(Scheme::Iob1));
        // An entity at the start of a text has a `B-`.
        assert_eq!(recognized(&["O I-x B-x", "B-x O"]), Ok(Scheme::Bio));
        assert_eq!(recognized(&["O I-x B-y"]), Ok(Scheme::Bio));
        assert_eq!(recognized(&["B-x E-x O S-y"]), Ok(Scheme::Bioes));
        assert_eq!(recognized(&["S-x O"]), Ok(Scheme::Bioes));
        assert_eq!(recognized(&["B-x I-x L-x O U-y"]), Ok(Scheme::Bioes));
        assert_eq!(recognized(&["O O"]), Ok(Scheme::Io));
        let error = recognized(&["I-x E-x"]).unwrap_err();
        assert!(error.contains("E-, I-, as in IOE1 and IOE2, which are not read"), "{error}");
        let error = recognized(&["B-x E-x U-x"]).unwrap_err();
        assert!(error.contains("B-, E-, U-, which no scheme has together"), "{error}");
    }

    #[test]
    fn malformed_tags_are_refused() {
        assert_eq!(parse_tag("B-a-b"), Ok(('B', "a-b")));
        assert_eq!(parse_tag("O"), Ok(('O', "")));
        for (tag, fault) in [
            ("", TagFault::Empty),
            ("B", TagFault::NoType),
            ("I-", TagFault::NoType),
            ("I- ", TagFault::NoPrefix),
            ("PER", TagFault::NoPrefix),
            ("B_PER", TagFault::NoPrefix),
            ("o", TagFault::NoPrefix),
            ("O-x", TagFault::NoPrefix),
        ] {
            assert_eq!(parse_tag(tag), Err(fault), "{tag}");
        }
    }

    #[track_caller]
    fn check_illegal(scheme: Scheme, tags: &str, expected: &[usize]) {
        let tags = parsed(tags);
        assert_eq!(scheme.illegal(&tags).collect::<Vec<_>>(), expected, "{tags:?}");
    }

    #[test]
    fn illegal_tags_are_found() {
        check_illegal(Scheme::Bio, "I-x I-x B-y I-x O", &[0, 3]);
        check_illegal(Scheme::Bio, "B-x B-x I-x O", &[]);
        check_illegal(Scheme::Bioes, "B-x I-x E-x S-x O", &[]);
        check_illegal(Scheme::Bioes, "E-x O B-x O B-x I-x", &[0, 3, 5]);
        check_illegal(Scheme::Bioes, "B-x I-x L-x U-x L-x", &[4]);
        check_illegal(Scheme::Iob1, "I-x B-x O B-x", &[3]);
        check_illegal(Scheme::Io, "I-x I-y", &[]);
    }

    #[test]
    fn every_scheme_becomes_bio() {
        for tags in ["B-x I-x O B-y", "I-x I-x O I-y", "B-x E-x O S-y"] {
            let tags: Vec<&str> = tags.split(' ').collect();
            assert_eq!(to_bio(&tags), ["B-x", "I-x", "O", "B-y"]);
        }
        assert_eq!(to_bio(&["I-x", "B-x", "I-y"]), ["B-x", "B-x", "B-y"]);
    }
}
