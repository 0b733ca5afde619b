//! A file of tagged words as it was read: its own tags, in its own scheme.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::columns::{TagColumns, TagFormat};
use super::error::TaggingError;
use super::scheme::{Scheme, TagFault, parse_tag};
use super::{TaggedText, conll, json};
use crate::encoding::{self, decode};
use crate::error::DataError;
use crate::lines::Lines;

/// Maximum bytes of a file.
const MAX_FILE: u64 = 1 << 30;

/// The texts of a file with the tags that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFile {
    pub(super) path: PathBuf,
    /// The different tags; a text has them by index.
    pub(super) tags: Vec<FileTag>,
    pub(super) texts: Vec<FileText>,
    /// How many columns the rows have, if the file has columns.
    pub(super) columns: Option<usize>,
    /// Texts whose annotation was rejected or cancelled, which are left out.
    pub(super) rejected: Lines,
    /// Spans that begin or end inside of a word, which are left out.
    pub(super) misaligned: Lines,
}

/// A tag, and the line on which it is first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileTag {
    pub(super) name: String,
    pub(super) line: usize,
}

/// A text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileText {
    pub(super) text: String,
    pub(super) words: Vec<Range<usize>>,
    /// As many as words, or none in a file without tags.
    pub(super) tags: Vec<usize>,
    /// The line of the first word, and how far below it each word is.
    pub(super) line: usize,
    pub(super) lines_below: Vec<u32>,
}

impl FileText {
    /// A text without words.
    pub(super) fn on_line(line: usize) -> Self {
        let (text, words) = (String::new(), Vec::new());
        Self { text, words, tags: Vec::new(), line, lines_below: Vec::new() }
    }

    /// Adds a word after a space.
    pub(super) fn push_word(&mut self, word: &str, line: usize) {
        if !self.words.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(word);
        self.words.push(start..self.text.len());
        // A text of more lines than that does not fit into the largest file.
        self.lines_below.push(u32::try_from(line - self.line).unwrap_or(u32::MAX));
    }

    /// The line of a word.
    pub(super) fn line_of(&self, word: usize) -> usize {
        self.line + self.lines_below.get(word).map_or(0, |below| *below as usize)
    }
}

/// Reads a file of tagged words: CoNLL, or objects of JSON with `tokens` and `tags`, or with a `text` and spans of
/// characters, as Doccano, Label Studio, Prodigy and spaCy have them.
///
/// # Errors
/// If the file cannot be read, is too large, or is not text; if a line, an object, a tag or a span is malformed; or if there
/// are no texts. The error names the line.
pub fn read(path: &Path, columns: &TagColumns) -> Result<TagFile, DataError> {
    parse(path, &read_bytes(path)?, columns)
}

/// As [`read`], of the bytes of a file, whose kind is given by the extension of `path`.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8], columns: &TagColumns) -> Result<TagFile, DataError> {
    parse_with(path, bytes, columns, true)
}

/// Reads predicted tags of the texts of another file. Spans of characters are those of its words.
///
/// # Errors
/// As [`read`], and if a text with spans is not that of the other file.
pub fn read_predictions(
    path: &Path,
    columns: &TagColumns,
    gold: &TagFile,
) -> Result<TagFile, DataError> {
    match TagFormat::of(path) {
        TagFormat::Conll => read(path, columns),
        TagFormat::Json => {
            let bytes = read_bytes(path)?;
            let file = json::parse_like(path, decode(path, &bytes)?, columns, true, Some(gold))?;
            if file.texts.is_empty() {
                return Err(DataError::Empty { path: path.to_owned() });
            }
            Ok(file)
        }
    }
}

/// Reads texts whose tags are not needed, in order; an object of JSON with a `text` is split into [`words`](super::words).
///
/// # Errors
/// As [`read`].
pub fn read_untagged(path: &Path, columns: &TagColumns) -> Result<Vec<TaggedText>, DataError> {
    parse_untagged(path, &read_bytes(path)?, columns)
}

/// As [`read_untagged`], of the bytes of a file.
///
/// # Errors
/// As [`read`].
pub fn parse_untagged(
    path: &Path,
    bytes: &[u8],
    columns: &TagColumns,
) -> Result<Vec<TaggedText>, DataError> {
    let file = parse_with(path, bytes, columns, false)?;
    let texts = file.texts.into_iter();
    Ok(texts
        .map(|FileText { text, words, line, .. }| TaggedText { text, words, tags: None, line })
        .collect())
}

fn parse_with(
    path: &Path,
    bytes: &[u8],
    columns: &TagColumns,
    is_tagged: bool,
) -> Result<TagFile, DataError> {
    let text = decode(path, bytes)?;
    let file = match TagFormat::of(path) {
        TagFormat::Conll => conll::parse(path, text, columns, is_tagged),
        TagFormat::Json => json::parse(path, text, columns, is_tagged),
    }?;
    if file.texts.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(file)
}

/// The bytes of a file that is not too large.
fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_FILE {
        return Err(
            TaggingError::LargeFile { path: path.to_owned(), bytes, at_most: MAX_FILE }.into()
        );
    }
    encoding::read_bytes(path)
}

/// Collects the different tags of a file.
#[derive(Default)]
pub(super) struct FileTags {
    tags: Vec<FileTag>,
    indices: HashMap<String, usize>,
}

impl FileTags {
    /// The index of a tag; a new one has to be well-formed.
    pub(super) fn index(&mut self, tag: &str, line: usize) -> Result<usize, TagFault> {
        if let Some(index) = self.indices.get(tag) {
            return Ok(*index);
        }
        parse_tag(tag)?;
        self.tags.push(FileTag { name: tag.to_owned(), line });
        self.indices.insert(tag.to_owned(), self.tags.len() - 1);
        Ok(self.tags.len() - 1)
    }

    pub(super) fn into_tags(self) -> Vec<FileTag> {
        self.tags
    }
}

impl TagFile {
    /// The path it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are no texts, which no reader returns.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The words of a text.
    pub fn words(&self, text: usize) -> impl ExactSizeIterator<Item = &str> {
        let text = &self.texts[text];
        text.words.iter().map(|word| &text.text[word.clone()])
    }

    /// The tags of the words of a text, as the file has them.
    pub fn tags(&self, text: usize) -> Vec<&str> {
        self.texts[text].tags.iter().map(|tag| self.tags[*tag].name.as_str()).collect()
    }

    /// The line of a word of a text, counted from 1.
    pub fn line(&self, text: usize, word: usize) -> usize {
        self.texts[text].line_of(word)
    }

    /// The scheme of all tags.
    ///
    /// # Errors
    /// If the prefixes are of no scheme that is read.
    pub fn scheme(&self) -> Result<Scheme, DataError> {
        let tags = self.parsed_tags();
        Scheme::recognize(tags.iter().map(Vec::as_slice))
            .map_err(|reason| TaggingError::Scheme { path: self.path.clone(), reason }.into())
    }

    /// The prefix and the type of the tags of every text.
    pub(super) fn parsed_tags(&self) -> Vec<Vec<(char, &str)>> {
        let tags: Vec<(char, &str)> = self
            .tags
            .iter()
            .map(|tag| parse_tag(&tag.name).expect("a tag is checked when it is read"))
            .collect();
        let texts = self.texts.iter();
        texts.map(|text| text.tags.iter().map(|tag| tags[*tag]).collect()).collect()
    }
}
