//! Published tasks of every kind as files: what is needed to list, fetch and check them.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::error::{DataError, PublishedError};
use crate::rows::Split;

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

    /// The path of a file in a data directory: in the task's folder, or in the directory itself if that is the task's
    /// folder.
    ///
    /// # Errors
    /// If there is no data directory, or no such file in it.
    fn find_file(&self, data: Option<&Path>, file: &str) -> Result<PathBuf, DataError> {
        let relative = format!("{}/{file}", self.directory());
        let task = self.name().to_owned();
        let Some(data) = data else {
            return Err(PublishedError::NoDirectory { task, relative }.into());
        };
        let (below, here) = (data.join(&relative), data.join(file));
        let is_here = !below.exists() && here.exists() && data.ends_with(self.directory());
        let path = if is_here { here } else { below };
        if path.exists() {
            Ok(path)
        } else {
            Err(PublishedError::MissingFile { task, data: data.to_owned(), path, relative }.into())
        }
    }

    /// The error for a split that the task does not have.
    fn no_split(&self, split: Split) -> DataError {
        let known: Vec<&str> = self.files().iter().map(|file| file.split.name()).collect();
        PublishedError::NoSplit {
            task: self.name().to_owned(),
            split: split.name().to_owned(),
            known: known.join(", "),
        }
        .into()
    }

    /// How many rows of a split were published, if the task has it.
    fn rows(&self, split: Split) -> Option<usize> {
        self.files().iter().find(|file| file.split == split).map(|file| file.rows)
    }
}

/// Where the files of a task are published.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A zip archive that contains the task's folder.
    Zip {
        /// The URL.
        url: &'static str,
    },
    /// A zip archive of files that belong into the task's folder.
    ZipOfFiles {
        /// The URL.
        url: &'static str,
    },
    /// The files themselves, each for itself.
    Files {
        /// The URL of the directory in which they are, without a `/` at its end.
        url: &'static str,
    },
    /// Not available as files that can be used as they are.
    ByHand {
        /// Instructions for the user.
        how: &'static str,
    },
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
