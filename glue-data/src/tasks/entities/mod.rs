//! The published tasks of named entities. They are not in the table of tasks, because a row has a tag for each word.

mod helpdesk_entities;
mod wnut17;

use std::collections::BTreeMap;
use std::path::Path;

pub use helpdesk_entities::HELPDESK_ENTITIES;
pub use wnut17::WNUT17;

use crate::error::DataError;
use crate::published_task::{PublishedFile, PublishedTask, RowCounts, Source};
use crate::rows::Split;
use crate::tagging::{OUTSIDE, TagColumns, TaggedRows, TaggedText, parse};

/// The names of the metrics; the first is the main one.
pub const METRICS: [&str; 4] = ["f1", "precision", "recall", "accuracy"];

/// A published task of entities. Its files are CoNLL in the scheme BIO: a word and its tag, separated by a tab.
#[derive(Debug)]
pub struct EntityTask {
    /// The name on the command line.
    pub name: &'static str,
    /// The question that the task asks about a text.
    pub title: &'static str,
    /// The folder in a data directory.
    pub directory: &'static str,
    /// The types of entities, sorted.
    pub types: &'static [&'static str],
    /// The files.
    pub parts: &'static [EntityPart],
    /// Where the files are published; none for embedded files.
    pub source: Option<Source>,
}

/// The file of one split.
#[derive(Debug)]
pub struct EntityPart {
    /// The split.
    pub split: Split,
    /// The name of the file.
    pub file: &'static str,
    /// The content of the file if it is embedded in this crate.
    pub embedded: Option<&'static str>,
    /// How many texts were published.
    pub texts: usize,
}

/// Every published task of entities.
pub fn all() -> impl Iterator<Item = &'static EntityTask> {
    [&HELPDESK_ENTITIES, &WNUT17].into_iter()
}

/// The published task of entities with a name.
pub fn find(name: &str) -> Option<&'static EntityTask> {
    all().find(|task| task.name == name)
}

impl EntityTask {
    /// The labels of the task in the order of the logits: `O`, and `B-` and `I-` of every type, sorted.
    pub fn labels(&self) -> Vec<String> {
        let with = |prefix: char| self.types.iter().map(move |label| format!("{prefix}-{label}"));
        with('B').chain(with('I')).chain([OUTSIDE.to_owned()]).collect()
    }

    /// The file of a split.
    ///
    /// # Errors
    /// If the task does not have the split.
    pub fn part(&self, split: Split) -> Result<&'static EntityPart, DataError> {
        let part = self.parts.iter().find(|part| part.split == split);
        part.ok_or_else(|| self.no_split(split))
    }

    /// Whether the task has a split.
    pub fn has(&self, split: Split) -> bool {
        self.part(split).is_ok()
    }

    /// Reads the texts of a split, from the data directory or from the embedded file. Their tags are indices into
    /// [`labels`](Self::labels).
    ///
    /// # Errors
    /// If a file is missing or is not as it was published; the error names the line.
    pub fn read(&self, data: Option<&Path>, split: Split) -> Result<Vec<TaggedText>, DataError> {
        let part = self.part(split)?;
        let rows = match part.embedded {
            Some(text) => {
                let columns = TagColumns::default();
                TaggedRows::of(parse(Path::new(part.file), text.as_bytes(), &columns)?)?
            }
            None => TaggedRows::read(&self.find_file(data, part.file)?, &TagColumns::default())?,
        };
        rows.with_labels(&self.labels())
    }
}

impl PublishedTask for EntityTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn directory(&self) -> &'static str {
        self.directory
    }

    fn source(&self) -> Option<Source> {
        self.source
    }

    fn metrics(&self) -> Vec<&'static str> {
        METRICS.to_vec()
    }

    fn labels(&self) -> Vec<String> {
        self.labels()
    }

    fn n_labels(&self) -> usize {
        2 * self.types.len() + 1
    }

    fn files(&self) -> Vec<PublishedFile> {
        let parts = self.parts.iter();
        parts
            .map(|part| PublishedFile { split: part.split, file: part.file, rows: part.texts })
            .collect()
    }

    fn count(&self, data: Option<&Path>, split: Split) -> Result<RowCounts, DataError> {
        let texts = self.read(data, split)?;
        let labels = self.labels();
        let mut entities: BTreeMap<String, usize> = BTreeMap::new();
        for tag in texts.iter().flat_map(|text| text.tags.iter().flatten()) {
            if let Some(label) = labels[*tag].strip_prefix("B-") {
                *entities.entry(label.to_owned()).or_insert(0) += 1;
            }
        }
        Ok(RowCounts { rows: texts.len(), by_label: entities.into_iter().collect() })
    }
}
