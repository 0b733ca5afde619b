//! Errors of files of tagged words.

use std::path::PathBuf;

use super::entities::UnknownPrefix;
use super::scheme::{TagFault, UnknownScheme};

/// A file of tagged words cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaggingError {
    /// The file is larger than any data set of this kind.
    #[error("{path} has {bytes} bytes, at most {at_most} are read; split it")]
    LargeFile {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: u64,
        /// The limit.
        at_most: u64,
    },
    /// A line has another number of columns than the first.
    #[error("{path} line {line}: {found} columns, expected {expected} as in line {first}{hint}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The number of columns.
        found: usize,
        /// The number in the first row.
        expected: usize,
        /// The line of the first row.
        first: usize,
        /// A suggestion, if there is one.
        hint: &'static str,
    },
    /// There are words and no tags.
    #[error(
        "{path} line {line}: one column, expected two or more: a word and its tag (words without tags are for `predict`)"
    )]
    OneColumn {
        /// The file.
        path: PathBuf,
        /// The line of the first row.
        line: usize,
    },
    /// Some lines are separated by spaces and some by tabs.
    #[error(
        "{path} line {line} has a tab, but line {first} is separated by spaces; separate all columns by tabs, or all by spaces"
    )]
    Separators {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The line of the first row.
        first: usize,
    },
    /// The number of a column is not there.
    #[error(
        "{path} line {line}: there is no column {column}; expected a number from 1 to {columns}"
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The line of the first row.
        line: usize,
        /// The requested number.
        column: usize,
        /// The number of columns.
        columns: usize,
    },
    /// The words and the tags are the same column.
    #[error("{path}: column {column} is named for the words and for the tags; name two columns")]
    SameColumn {
        /// The file.
        path: PathBuf,
        /// The number of the column, counted from 1.
        column: usize,
    },
    /// Names of columns that belong to another kind of file.
    #[error("{path}: {setting} is for {of}, and this file has {found}; leave it out")]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What it is for.
        of: &'static str,
        /// What the file has.
        found: &'static str,
    },
    /// A word has no letters.
    #[error("{path} line {line}: the word is empty")]
    EmptyWord {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A tag is malformed.
    #[error("{path} line {line}: the tag `{tag}`: {fault}{hint}")]
    Tag {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The tag.
        tag: String,
        /// What is wrong with it.
        fault: TagFault,
        /// A suggestion, if there is one.
        hint: &'static str,
    },
    /// There are not as many tags as words.
    #[error("{path} line {line}: {words} words and {tags} tags, expected a tag for each word")]
    Lengths {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The number of words.
        words: usize,
        /// The number of tags.
        tags: usize,
    },
    /// The tags are numbers.
    #[error(
        "{path} line {line}: `{key}` has the number {tag} for a tag, whose name is not in this file; write names, such as `B-person`"
    )]
    NumberedTag {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key of the tags.
        key: String,
        /// The number.
        tag: String,
    },
    /// The tags are of no scheme.
    #[error("{path}: {reason}")]
    Scheme {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: UnknownScheme,
    },
    /// A predicted tag is not of the scheme of the reference.
    #[error("{path} line {line}: {reason}")]
    Prefix {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The tag and the scheme.
        reason: UnknownPrefix,
    },
    /// A file of predictions has other words than the reference.
    #[error("{path} line {line}: {found}, expected {expected} as in {gold} line {gold_line}")]
    OtherWord {
        /// The file of predictions.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is there.
        found: String,
        /// The reference file.
        gold: PathBuf,
        /// Its line.
        gold_line: usize,
        /// What is there.
        expected: String,
    },
    /// A file of predictions has another text than the reference.
    #[error(
        "{path} line {line}: another text than {gold} line {gold_line}; expected a prediction for each text, in order"
    )]
    OtherText {
        /// The file of predictions.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reference file.
        gold: PathBuf,
        /// Its line.
        gold_line: usize,
    },
    /// A file of predictions has no tags to compare with.
    #[error(
        "{path} line {line}: expected a word, its tag and its predicted tag in three or more columns; or name the file with the tags with --gold"
    )]
    NoGold {
        /// The file.
        path: PathBuf,
        /// The line of the first row.
        line: usize,
    },
    /// There is nothing to learn or to score.
    #[error(
        "{path}: no word from line {first} to line {last} is in an entity; check the columns of the file, or name them"
    )]
    NoEntities {
        /// The file.
        path: PathBuf,
        /// The line of the first row.
        first: usize,
        /// The line of the last row.
        last: usize,
    },
    /// A span of characters is not one of words.
    #[error("{path} line {line}: the span {span} {fault}")]
    Span {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The span, with its label.
        span: String,
        /// What is wrong with it.
        fault: SpanFault,
    },
}

/// Why a span of characters is not one of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpanFault {
    /// It ends after the text.
    #[error("is outside of the text, which has {characters} characters")]
    Outside {
        /// The length of the text.
        characters: usize,
    },
    /// It has no words.
    #[error("is empty: it contains no word")]
    Empty,
    /// It begins or ends inside of a word.
    #[error(
        "cuts the word `{word}` in two; move its border to that of the word, or skip such spans with --skip-misaligned"
    )]
    Misaligned {
        /// The word.
        word: String,
    },
    /// It shares words with another.
    #[error("overlaps the span {other}; a word has one tag, so keep one of the two")]
    Overlap {
        /// The other span.
        other: String,
    },
    /// The file says that it has another text.
    #[error(
        "is `{found}`, but the file says `{expected}`; its offsets have to count Unicode characters from 0"
    )]
    Text {
        /// The text at these characters.
        found: String,
        /// The text of the span in the file.
        expected: String,
    },
}
