//! Tagged words: the data and the scores of token classification, such as named entities.
//!
//! A row is a text with its words, and each word has a tag: `O`, or a prefix and the type of an entity (`B-person`).
//! A file ([`read`]) has tags of its own, in one of several [schemes](Scheme); [`TaggedRows`] are its texts in the scheme
//! BIO, whose tags are the classes of a model. What tags mean is a list of [`entities`], by which predictions are scored
//! ([`EntityCounts`]) as by seqeval.

mod baseline;
mod columns;
mod comparison;
mod conll;
mod entities;
mod error;
mod hold_out;
mod json;
mod rows;
mod scheme;
mod scores;
mod spans;
mod tag_file;
mod windows;
mod words;

use std::ops::Range;

pub use baseline::{majority_tags, word_tags};
pub use columns::{TagColumns, is_conll};
pub use comparison::{read_both, score};
pub use conll::conll_word;
pub use entities::{Entity, UnknownPrefix, entities, strict_entities};
pub use error::{SpanFault, TaggingError};
pub use hold_out::hold_out;
pub use rows::{TagNote, TaggedRows};
pub use scheme::{OUTSIDE, Scheme, TagFault, UnknownScheme, parse_tag, to_bio};
pub use scores::{Confusion, EntityCounts, EntityF1, EntityScores, Mode, TypeScores};
pub use tag_file::{TagFile, parse, parse_untagged, read, read_predictions, read_untagged};
pub use windows::{RowWord, WordWindows};
pub use words::words;

/// A text with its words and their tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedText {
    /// The text.
    pub text: String,
    /// The bytes of each word in the text, in order and without overlap.
    pub words: Vec<Range<usize>>,
    /// The tag of each word as an index into the labels of the task; none if the tags are unknown.
    pub tags: Option<Vec<usize>>,
    /// The line on which the text begins, counted from 1.
    pub line: usize,
}
