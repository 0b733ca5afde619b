//! Published tasks of every kind as files: what is needed to list, fetch and check them.

use std::fmt::Debug;
use std::path::Path;

use crate::error::DataError;
use crate::rows::Split;
use crate::task_spec::{Source, TaskSpec};

/// A published task, whatever its rows are.
pub trait PublishedTask: Debug + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// The question that the task asks about a row.
    fn title(&self) -> &'static str;
    /// The folder in a data directory.
    fn directory(&self) -> &'static str;
    /// Where the files are published; none for embedded files.
    fn source(&self) -> Option<Source>;
    /// The names of the metrics; the first is the main one.
    fn metrics(&self) -> Vec<&'static str>;
    /// The labels in the order of the logits; empty for a regression, and where the labels are those of the file.
    fn labels(&self) -> Vec<String>;
    /// The number of labels; 0 for a regression.
    fn n_labels(&self) -> usize;
    /// The files of the splits.
    fn files(&self) -> Vec<PublishedFile>;
    /// Reads a split and counts its rows.
    ///
    /// # Errors
    /// If the file is missing or is not as it was published.
    fn count(&self, data: Option<&Path>, split: Split) -> Result<RowCounts, DataError>;

    /// How many rows of a split were published, if the task has it.
    fn rows(&self, split: Split) -> Option<usize> {
        self.files().iter().find(|file| file.split == split).map(|file| file.rows)
    }
}

/// The file of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// The split.
    pub split: Split,
    /// The name in the folder of the task.
    pub file: &'static str,
    /// How many rows were published.
    pub rows: usize,
}

/// The rows of a file, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCounts {
    /// All rows.
    pub rows: usize,
    /// The rows of each class, or the entities of each type.
    pub by_label: Vec<(String, usize)>,
}

impl PublishedTask for TaskSpec {
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
        self.metrics.iter().map(|metric| metric.name()).collect()
    }

    fn labels(&self) -> Vec<String> {
        self.classes.iter().map(ToString::to_string).collect()
    }

    fn n_labels(&self) -> usize {
        self.n_classes()
    }

    fn files(&self) -> Vec<PublishedFile> {
        let parts = self.parts.iter();
        parts
            .map(|part| PublishedFile { split: part.split, file: part.file, rows: part.rows })
            .collect()
    }

    fn count(&self, data: Option<&Path>, split: Split) -> Result<RowCounts, DataError> {
        let rows = self.read(data, split)?;
        Ok(RowCounts { rows: rows.len(), by_label: self.count_labels(&rows) })
    }
}
