//! The words of a raw text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The words of a text without given words, as ranges of its bytes: every maximal run of letters, digits and marks, and
/// every other visible character alone, with the marks that follow it.
///
/// White space separates words and belongs to none. The joiners U+200C and U+200D count as marks.
///
/// ```
/// use glue_data::tagging::words;
/// let text = "Émile's PC-7 (new)";
/// let words: Vec<&str> = words(text).into_iter().map(|word| &text[word]).collect();
/// assert_eq!(words, ["Émile", "'", "s", "PC", "-", "7", "(", "new", ")"]);
/// ```
pub fn words(text: &str) -> Vec<Range<usize>> {
    static WORD: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"[\p{L}\p{N}\p{M}\u{200c}\u{200d}]+|\S[\p{M}\u{200c}\u{200d}]*";
        Regex::new(pattern).expect("the pattern is constant, and a test uses it")
    });
    WORD.find_iter(text).map(|word| word.range()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn letters_digits_and_marks_are_words_and_the_rest_stands_alone() {
        assert_eq!(split("don't  stop"), ["don", "'", "t", "stop"]);
        assert_eq!(
            split("e\u{301}a 3\u{b2}x,5€\u{a0}..."),
            ["e\u{301}a", "3²x", ",", "5", "€", ".", ".", "."]
        );
        // A vowel sign of Devanagari is a mark; U+200C is part of a Persian word.
        assert_eq!(split("हिन्दी می\u{200c}خواهم"), ["हिन्दी", "می\u{200c}خواهم"]);
        // An emoji keeps its variation selector.
        assert_eq!(split("ok❤\u{fe0f}!"), ["ok", "❤\u{fe0f}", "!"]);
        assert_eq!(split("\u{200b}\u{7}"), ["\u{200b}", "\u{7}"]);
        assert_eq!(split(" \t\r\n\u{3000}"), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn words_cover_every_character_that_is_not_white_space(text in "\\PC{0,30}|[ab1é\u{301}',. \t\u{200d}\u{3000}]{0,30}") {
            let mut end = 0;
            for word in words(&text) {
                prop_assert!(!word.is_empty() && word.start >= end);
                prop_assert!(text[end..word.start].chars().all(char::is_whitespace));
                prop_assert!(!text[word.clone()].contains(char::is_whitespace));
                end = word.end;
            }
            prop_assert!(text[end..].chars().all(char::is_whitespace));
        }
    }
}
