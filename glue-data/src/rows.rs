//! Rows as they are read from files, and the splits that they come in.

use crate::invisible::is_blank;
use crate::task_kind::Label;

/// One text or a pair of texts, with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The text; the first text of a pair.
    pub text: String,
    /// The second text of a pair.
    pub text2: Option<String>,
    /// The label, if it is known.
    pub label: Option<Label>,
}

impl Example {
    /// Whether nothing is visible in the text and in the second text: there are only white space, control characters and
    /// characters without width.
    pub fn is_blank(&self) -> bool {
        is_blank(&self.text) && self.text2.as_deref().is_none_or(is_blank)
    }
}

/// The requested fields of one row of a file, before the label is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The fields, in the order of the requested columns.
    pub fields: Vec<String>,
    /// The line on which the row begins, counted from 1.
    pub line: usize,
}

/// A split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Training rows.
    Train,
    /// Validation rows, by which the best epoch is chosen.
    Validation,
    /// MNLI's mismatched validation rows, whose genres are not in the training rows.
    ValidationMismatched,
    /// Test rows; GLUE does not publish their labels.
    Test,
    /// MNLI's mismatched test rows.
    TestMismatched,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 5] = [
        Self::Train,
        Self::Validation,
        Self::ValidationMismatched,
        Self::Test,
        Self::TestMismatched,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::ValidationMismatched => "validation-mismatched",
            Self::Test => "test",
            Self::TestMismatched => "test-mismatched",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_which_nothing_is_visible_is_blank() {
        let is_blank = |text: &str, text2: Option<&str>| {
            let text2 = text2.map(str::to_owned);
            Example { text: text.to_owned(), text2, label: None }.is_blank()
        };
        for text in ["", " \t", "\u{200b}", "\u{a0}\r\u{feff}"] {
            assert!(is_blank(text, None) && is_blank(text, Some(" ")), "{text:?}");
            assert!(!is_blank(text, Some("a")) && !is_blank("a", Some(text)), "{text:?}");
        }
        assert!(!is_blank(".", None));
    }
}
