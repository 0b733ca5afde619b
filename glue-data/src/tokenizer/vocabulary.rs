//! `vocab.txt`: one token per line; its id is the number of the line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::TokenizerError;

/// Minimum share of words with an upper-case letter in a cased vocabulary; that of BERT has two in five, and an uncased one
/// has none.
const CASED_SHARE: f64 = 0.01;

/// The tokens of a `vocab.txt` in the order of their ids.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) tokens: Vec<String>,
}

impl Vocabulary {
    /// Reads a `vocab.txt` as Python does, which also ends a line at a lone carriage return.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            TokenizerError::NotUtf8 { line: line + 1 }
        })?;
        if text.starts_with('\u{feff}') {
            return Err(TokenizerError::ByteOrderMark);
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        // Empty lines at the end are no tokens.
        let tokens: Vec<String> =
            text.trim_end_matches('\n').split('\n').map(str::to_owned).collect();
        if let Some(line) = tokens.iter().position(String::is_empty) {
            return Err(TokenizerError::EmptyToken { line: line + 1 });
        }
        Ok(Self { tokens })
    }

    /// The id of every token.
    pub(super) fn ids(&self) -> Result<HashMap<String, u32>, TokenizerError> {
        let mut ids: HashMap<String, u32> = HashMap::with_capacity(self.tokens.len());
        // A file of tokens is far smaller than 2³² bytes.
        for (id, token) in (0_u32..).zip(&self.tokens) {
            match ids.entry(token.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(id);
                }
                Entry::Occupied(slot) => {
                    return Err(TokenizerError::Twice {
                        token: token.clone(),
                        first: *slot.get() as usize + 1,
                        second: id as usize + 1,
                    });
                }
            }
        }
        Ok(ids)
    }

    /// Checks that the vocabulary is not cased, which does not fit lower-cased texts.
    pub(super) fn check_uncased(&self) -> Result<(), TokenizerError> {
        // [UNK], [unused1] and <s> are not words.
        let is_word = |token: &&String| !token.starts_with(['[', '<']);
        let words = self.tokens.iter().filter(is_word).count();
        let is_cased = |token: &&String| token.chars().any(char::is_uppercase);
        let cased = self.tokens.iter().filter(is_word).filter(is_cased).count();
        if cased > 0 && cased as f64 >= CASED_SHARE * words as f64 {
            return Err(TokenizerError::Cased { cased, words });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        Vocabulary::parse(text.as_bytes()).unwrap().tokens
    }

    fn refused(bytes: &[u8]) -> String {
        let vocabulary = Vocabulary::parse(bytes);
        vocabulary.and_then(|vocabulary| vocabulary.ids()).unwrap_err().to_string()
    }

    #[test]
    fn lines_end_as_in_python() {
        assert_eq!(tokens("a\nb\nc"), ["a", "b", "c"]);
        assert_eq!(tokens("a\r\nb \r##c\n\n"), ["a", "b ", "##c"]);
        assert_eq!(tokens("a\u{2028}b\n\u{a0}\n"), ["a\u{2028}b", "\u{a0}"]);
    }

    #[test]
    fn invalid_tokens_are_refused_with_their_line() {
        assert_eq!(refused(b"a\nb\na\n"), "vocab.txt has the token `a` twice, in lines 1 and 3");
        assert_eq!(refused(b"a\n\nb\n"), "vocab.txt line 2 is empty, expected a token");
        assert_eq!(refused(b"a\nb\xff\n"), "vocab.txt line 2: these bytes are not UTF-8");
        assert_eq!(refused(b""), "vocab.txt line 1 is empty, expected a token");
        assert!(refused("\u{feff}a\n".as_bytes()).contains("byte order mark"));
    }

    #[test]
    fn words_with_upper_case_letters_are_a_cased_vocabulary() {
        let check = |text: &str| Vocabulary::parse(text.as_bytes()).unwrap().check_uncased();
        check("[PAD]\n[UNK]\n<S>\nthe\n##ing\nß\n中\n").unwrap();
        let refused = check("[PAD]\nthe\nThe\n").unwrap_err().to_string();
        assert!(refused.starts_with("1 of the 2 words in vocab.txt"), "{refused}");
    }
}
