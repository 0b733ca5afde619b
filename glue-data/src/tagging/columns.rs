//! Which columns of a file, or keys of its objects, hold the words and their tags.

use std::ffi::OsStr;
use std::path::Path;

use super::error::TaggingError;
use crate::error::DataError;

/// The columns of a file of tagged words, or the keys of its JSON objects; those that are not named are recognized.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagColumns {
    /// The words: a column of CoNLL by its number, counted from 1, or by its name, or a key with a list of words.
    /// By default the first column (`FORM` where the columns are named), or the key `tokens`.
    pub tokens: Option<String>,
    /// The tags, named as the words. By default the last column, or the key `tags`, or else `ner_tags`.
    pub tags: Option<String>,
    /// The key of the text, whose entities are spans of characters; by default `text`.
    pub text: Option<String>,
    /// The key of the list of spans. By default the first of `entities`, `label`, `labels`, `spans` and `annotations`
    /// that the first object has.
    pub entities: Option<String>,
    /// Leave spans out that begin or end inside of a word. Without it they are an error.
    pub skip_misaligned: bool,
}

/// The kind of a file of tagged words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagFormat {
    /// A word a line, with columns.
    Conll,
    /// Objects of JSON: one a line, or a list.
    Json,
}

impl TagFormat {
    /// `.json` and `.jsonl` are JSON, and every other file is CoNLL.
    pub(super) fn of(path: &Path) -> Self {
        match extension(path).as_deref().and_then(OsStr::to_str) {
            Some("json" | "jsonl") => Self::Json,
            _ => Self::Conll,
        }
    }
}

fn extension(path: &Path) -> Option<std::ffi::OsString> {
    path.extension().map(OsStr::to_ascii_lowercase)
}

/// Whether a file has a word on each line, by its extension: `.conll`, `.conllu`, `.conllup`, `.bio`, `.bioes`, `.iob` or
/// `.iob2`.
pub fn is_conll(path: &Path) -> bool {
    matches!(
        extension(path).as_deref().and_then(OsStr::to_str),
        Some("conll" | "conllu" | "conllup" | "bio" | "bioes" | "iob" | "iob2")
    )
}

impl TagColumns {
    /// Whether a setting of spans is there.
    pub(super) fn names_spans(&self) -> bool {
        self.text.is_some() || self.entities.is_some()
    }

    /// Refuses the settings of spans.
    pub(super) fn refuse_spans(&self, path: &Path, found: &'static str) -> Result<(), DataError> {
        refuse(
            path,
            &[
                (self.text.is_some(), "--text"),
                (self.entities.is_some(), "--entities"),
                (self.skip_misaligned, "--skip-misaligned"),
            ],
            "texts with spans",
            found,
        )
    }

    /// Refuses the settings of words with tags.
    pub(super) fn refuse_words(&self, path: &Path, found: &'static str) -> Result<(), DataError> {
        refuse(
            path,
            &[(self.tokens.is_some(), "--tokens"), (self.tags.is_some(), "--tags")],
            "words with tags",
            found,
        )
    }
}

fn refuse(
    path: &Path,
    settings: &[(bool, &'static str)],
    of: &'static str,
    found: &'static str,
) -> Result<(), DataError> {
    match settings.iter().find(|(is_set, _)| *is_set) {
        Some((_, setting)) => {
            Err(TaggingError::Setting { path: path.to_owned(), setting, of, found }.into())
        }
        None => Ok(()),
    }
}
