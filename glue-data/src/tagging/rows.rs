//! The rows of a file of tagged words in the scheme BIO, whose tags are the labels of a task.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use super::TaggedText;
use super::columns::TagColumns;
use super::error::TaggingError;
use super::scheme::{OUTSIDE, Scheme, to_bio};
use super::tag_file::{self, TagFile};
use crate::error::{DataError, LabelError};
use crate::label_forms;
use crate::lines::Lines;
use crate::listed::{counted, listed, shortened};

/// The texts of a file with tags in the scheme BIO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedRows {
    path: PathBuf,
    /// The scheme of the file.
    pub scheme: Scheme,
    /// What is allowed in the file but may be a mistake.
    pub notes: Vec<TagNote>,
    /// The tags; a text has them by index.
    tags: Vec<String>,
    /// The line on which each tag is first.
    first_lines: Vec<usize>,
    texts: Vec<TaggedText>,
}

/// Something in a file of tagged words that is allowed, but may be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagNote {
    /// Tags that their scheme does not allow after the tag before.
    Illegal {
        /// The file.
        path: PathBuf,
        /// Its scheme.
        scheme: Scheme,
        /// The lines of the tags.
        lines: Lines,
    },
    /// Spans that begin or end inside of a word are left out.
    Misaligned {
        /// The file.
        path: PathBuf,
        /// The lines of the texts, once for each span.
        lines: Lines,
    },
    /// Texts are left out whose annotation was rejected or cancelled.
    Rejected {
        /// The file.
        path: PathBuf,
        /// The lines of the texts.
        lines: Lines,
    },
}

impl fmt::Display for TagNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Illegal { path, scheme, lines } => write!(
                formatter,
                "{}: {} not legal in {} after the tag before, and read as seqeval does: {lines}",
                path.display(),
                counted(lines.count(), "tag is", "tags are"),
                scheme.name()
            ),
            Self::Misaligned { path, lines } => write!(
                formatter,
                "{}: {} inside of a word and left out: {lines}",
                path.display(),
                counted(lines.count(), "span begins or ends", "spans begin or end")
            ),
            Self::Rejected { path, lines } => write!(
                formatter,
                "{}: {} left out, whose annotation was not accepted: {lines}",
                path.display(),
                counted(lines.count(), "text is", "texts are")
            ),
        }
    }
}

impl TaggedRows {
    /// Reads a file; see [`read`](super::read).
    ///
    /// # Errors
    /// As [`read`](super::read), and as [`TaggedRows::of`].
    pub fn read(path: &Path, columns: &TagColumns) -> Result<Self, DataError> {
        Self::of(tag_file::read(path, columns)?)
    }

    /// Converts the tags of a file to BIO. Illegal sequences are repaired as seqeval's default mode reads them.
    ///
    /// # Errors
    /// If the tags are of no scheme that is read.
    pub fn of(file: TagFile) -> Result<Self, DataError> {
        let scheme = file.scheme()?;
        let mut illegal = Lines::default();
        for (text, tags) in file.texts.iter().zip(file.parsed_tags()) {
            scheme.illegal(&tags).for_each(|word| illegal.add(text.line_of(word)));
        }
        let (mut tags, mut first_lines) = (Vec::new(), Vec::new());
        let mut indices: HashMap<String, usize> = HashMap::new();
        let mut texts = Vec::with_capacity(file.texts.len());
        for (index, text) in file.texts.iter().enumerate() {
            let converted = to_bio(&bioes_letters(&file.tags(index)));
            let converted = converted.into_iter().enumerate().map(|(word, tag)| {
                *indices.entry(tag).or_insert_with_key(|tag| {
                    tags.push(tag.clone());
                    first_lines.push(text.line_of(word));
                    tags.len() - 1
                })
            });
            let converted = converted.collect();
            texts.push(TaggedText {
                text: text.text.clone(),
                words: text.words.clone(),
                tags: Some(converted),
                line: text.line,
            });
        }
        let TagFile { path, rejected, misaligned, .. } = file;
        let mut notes = Vec::new();
        if illegal.count() > 0 {
            notes.push(TagNote::Illegal { path: path.clone(), scheme, lines: illegal });
        }
        if misaligned.count() > 0 {
            notes.push(TagNote::Misaligned { path: path.clone(), lines: misaligned });
        }
        if rejected.count() > 0 {
            notes.push(TagNote::Rejected { path: path.clone(), lines: rejected });
        }
        Ok(Self { path, scheme, notes, tags, first_lines, texts })
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are no texts, which no reader returns.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The labels of a task with these training rows: `O`, and `B-` and `I-` of every type, sorted.
    ///
    /// # Errors
    /// If no word is in an entity, or types differ in their form alone.
    pub fn labels(&self) -> Result<Vec<String>, DataError> {
        self.check_entities()?;
        let mut rows = vec![0; self.tags.len()];
        for tag in self.texts.iter().flat_map(|text| text.tags.iter().flatten()) {
            rows[*tag] += 1;
        }
        // The rows of a type in an error are its entities, each of which has one `B-`.
        let mut types = BTreeMap::new();
        for ((tag, line), rows) in self.tags.iter().zip(&self.first_lines).zip(rows) {
            if let Some(label) = tag.strip_prefix("B-") {
                types.insert(label, label_forms::Seen { line: *line, rows });
            }
        }
        label_forms::check_confusable(&self.path, &types)?;
        let types = types.keys();
        let labels = types.flat_map(|label| [format!("B-{label}"), format!("I-{label}")]);
        let mut labels: Vec<String> = labels.chain([OUTSIDE.to_owned()]).collect();
        labels.sort();
        Ok(labels)
    }

    /// Checks that there is an entity to learn or to find.
    ///
    /// # Errors
    /// If no word is in an entity.
    pub fn check_entities(&self) -> Result<(), DataError> {
        if self.tags.iter().any(|tag| tag != OUTSIDE) {
            return Ok(());
        }
        let line = |text: Option<&TaggedText>| text.map_or(1, |text| text.line);
        Err(TaggingError::NoEntities {
            path: self.path.clone(),
            first: line(self.texts.first()),
            last: line(self.texts.last()),
        }
        .into())
    }

    /// The texts with their tags as indices into the labels of a task.
    ///
    /// # Errors
    /// If a tag is not one of the labels; the error names its first line.
    pub fn with_labels(self, labels: &[String]) -> Result<Vec<TaggedText>, DataError> {
        let indices = self.tags.iter().zip(&self.first_lines).map(|(tag, line)| {
            labels.iter().position(|label| label == tag).ok_or_else(|| {
                let hint = label_forms::near(labels, tag).map(|(name, difference)| {
                    format!("; it differs from `{name}` in {difference} alone: write it alike")
                });
                DataError::from(LabelError::Unknown {
                    path: self.path.clone(),
                    line: *line,
                    found: shortened(tag),
                    expected: listed(labels),
                    hint: hint.unwrap_or_default(),
                })
            })
        });
        let indices = indices.collect::<Result<Vec<usize>, _>>()?;
        let texts = self.texts.into_iter().map(|mut text| {
            text.tags.iter_mut().flatten().for_each(|tag| *tag = indices[*tag]);
            text
        });
        Ok(texts.collect())
    }
}

/// Tags with the letters of BIOES in place of those of BILOU, which seqeval's default mode does not know.
pub(super) fn bioes_letters(tags: &[&str]) -> Vec<String> {
    let letter = |tag: &&str| match (tag.strip_prefix("L-"), tag.strip_prefix("U-")) {
        (Some(label), _) => format!("E-{label}"),
        (_, Some(label)) => format!("S-{label}"),
        _ => (*tag).to_owned(),
    };
    tags.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagging::parse;

    fn rows(text: &str) -> Result<TaggedRows, String> {
        let file = parse(Path::new("a.conll"), text.as_bytes(), &TagColumns::default());
        file.and_then(TaggedRows::of).map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheme_has_the_labels_of_bio() {
        for (text, scheme) in [
            ("a B-x\nb I-x\nc O\nd B-y\n", Scheme::Bio),
            ("a I-x\nb I-x\nc O\nd I-y\n", Scheme::Io),
            ("a B-x\nb E-x\nc O\nd S-y\n", Scheme::Bioes),
            ("a B-x\nb L-x\nc O\nd U-y\n", Scheme::Bioes),
        ] {
            let rows = rows(text).unwrap();
            assert_eq!((rows.scheme, rows.notes.as_slice()), (scheme, [].as_slice()));
            let labels = rows.labels().unwrap();
            assert_eq!(labels, ["B-x", "B-y", "I-x", "I-y", "O"]);
            let texts = rows.with_labels(&labels).unwrap();
            assert_eq!(texts[0].tags.as_deref(), Some([0, 2, 4, 1].as_slice()), "{text}");
        }
    }

    #[test]
    fn illegal_tags_are_noted_and_read_as_seqeval_reads_them() {
        let rows = rows("# a\na O\nb I-x\n\nc B-x\nd I-y\n").unwrap();
        let [note] = rows.notes.as_slice() else { panic!("{:?}", rows.notes) };
        assert_eq!(
            note.to_string(),
            "a.conll: 2 tags are not legal in BIO after the tag before, and read as seqeval does: lines 3, 6"
        );
        let labels = rows.labels().unwrap();
        let texts = rows.with_labels(&labels).unwrap();
        let tags = texts.iter().flat_map(|text| text.tags.iter().flatten());
        let tags: Vec<&str> = tags.map(|tag| labels[*tag].as_str()).collect();
        assert_eq!(tags, ["O", "B-x", "B-x", "B-y"]);
    }

    #[test]
    fn labels_that_cannot_be_used_are_refused_with_their_lines() {
        let empty = rows("a O\n\nb O\n").unwrap().labels().unwrap_err().to_string();
        let sentence = "no word from line 1 to line 3 is in an entity; check the columns of the file, or name them";
        assert_eq!(empty, format!("a.conll: {sentence}"));
        let alike = rows("a B-per\nb B-Per\n").unwrap().labels().unwrap_err().to_string();
        assert!(alike.contains("differ in upper and lower case alone"), "{alike}");
        let labels = rows("a B-x\n").unwrap().labels().unwrap();
        let unknown =
            |text: &str| rows(text).unwrap().with_labels(&labels).unwrap_err().to_string();
        assert_eq!(
            unknown("a O\nb B-y\n"),
            "a.conll line 2: the label `B-y` is none of B-x, I-x, O"
        );
        assert!(
            unknown("a O\nb B-X\n")
                .ends_with("it differs from `B-x` in upper and lower case alone: write it alike")
        );
        let mixed = rows("a B-x\nb E-x\nc U-x\n").unwrap_err();
        assert!(
            mixed.starts_with("a.conll: its tags have the prefixes B-, E-, U-, which no scheme"),
            "{mixed}"
        );
    }
}
