//! The rows of the table of published tasks: names, files, columns and sources.
//!
//! The table itself is in [`tasks`](crate::tasks).

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::DataError;
use crate::metric::Metric;
use crate::published_task::{PublishedFile, PublishedTask, RowCounts, Source};
use crate::rows::{Example, Split};
use crate::task::Task;
use crate::task_kind::{Label, TaskKind};

/// A published task.
#[derive(Debug)]
pub struct TaskSpec {
    /// The name on the command line.
    pub name: &'static str,
    /// The question that the task asks about a row.
    pub title: &'static str,
    /// The folder in a data directory and in the published archive.
    pub directory: &'static str,
    /// The names of the classes in the order of the logits. Empty for a regression, and where the file's labels are the
    /// classes.
    pub classes: &'static [&'static str],
    /// The metrics; the first is the main one.
    pub metrics: &'static [Metric],
    /// The files.
    pub parts: &'static [Part],
    /// Where the files are published; none for embedded files.
    pub source: Option<Source>,
}

/// The file of one split of a task.
#[derive(Debug)]
pub struct Part {
    /// The split.
    pub split: Split,
    /// The name of the file.
    pub file: &'static str,
    /// The content of the file if it is embedded in this crate.
    pub embedded: Option<&'static str>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// All columns; of a CSV file with a header, only the columns that are read.
    pub columns: &'static [&'static str],
    /// The column of the text, or of the first text of a pair.
    pub text: &'static str,
    /// The column of the second text of a pair.
    pub text2: Option<&'static str>,
    /// The column of the label.
    pub label: Option<&'static str>,
    /// Whether that column has any number of labels: their numbers, counted from 0 and separated by commas.
    pub label_numbers: bool,
    /// How many rows were published.
    pub rows: usize,
    /// Whether rows with too few columns are skipped: some published files contain truncated rows.
    pub skip_short_rows: bool,
    /// The name of the file in which GLUE expects the predictions.
    pub submission: Option<&'static str>,
    /// The corpus from which the split is drawn, if the publisher did not split it.
    pub corpus: Option<&'static UnsplitCorpus>,
}

/// A corpus that its publisher did not split; every split of the task is drawn from it.
#[derive(Debug)]
pub struct UnsplitCorpus {
    /// The layout of the rows.
    pub layout: Layout,
    /// Labels of the file with the class that each stands for.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Labels whose rows are left out.
    pub left_out: &'static [&'static str],
    /// The number of classes if the table does not list them. The classes are then the labels of the file, sorted.
    pub open_classes: usize,
}

/// The layout of the rows of a corpus.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// Comma-separated with quotes; the first line names the columns, of which some are read.
    Csv,
    /// Tab-separated without quoting and without a header.
    Tabs,
    /// A folder for each class, with a file for each row.
    Folders {
        /// A second folder with the same layout, beside the part's.
        beside: &'static str,
    },
}

impl Part {
    /// A note if a file of a task has another number of rows than the published one.
    pub fn row_count_note(&self, spec: &TaskSpec, found: usize) -> Option<String> {
        (found != self.rows).then(|| {
            format!(
                "{}/{} has {found} rows of the {} split, the published file has {}; `trainer data check {}` compares all \
                 files",
                spec.directory,
                self.file,
                self.split.name(),
                self.rows,
                spec.name
            )
        })
    }

    /// The index of a column.
    pub(crate) fn column(&self, name: &str) -> usize {
        let index = self.columns.iter().position(|column| *column == name);
        index.expect("the table of tasks names columns that exist, which a test checks")
    }
}

impl TaskSpec {
    /// The task; without the names of classes that only the file has ([`TaskSpec::task_in`] reads them).
    pub fn task(&self) -> Task {
        let labels = || self.classes.iter().map(|class| (*class).to_owned()).collect();
        let kind = match self.classes {
            [] if self.corpus().is_none() => TaskKind::Regression,
            _ if self.parts.iter().any(|part| part.label_numbers) => {
                TaskKind::MultiLabel { labels: labels() }
            }
            _ => TaskKind::Classification { labels: labels() },
        };
        Task { name: self.name.to_owned(), kind, metrics: self.metrics.to_vec() }
    }

    /// The number of classes; 0 for a regression.
    pub fn n_classes(&self) -> usize {
        match self.corpus() {
            Some((_, corpus)) if self.classes.is_empty() => corpus.open_classes,
            _ => self.classes.len(),
        }
    }

    /// The corpus from which every split is drawn, if the publisher did not split it.
    pub(crate) fn corpus(&self) -> Option<(&'static Part, &'static UnsplitCorpus)> {
        self.parts.iter().find_map(|part| Some((part, part.corpus?)))
    }

    /// The file of a split.
    ///
    /// # Errors
    /// If the task does not have the split.
    pub fn part(&self, split: Split) -> Result<&'static Part, DataError> {
        let part = self.parts.iter().find(|part| part.split == split);
        part.ok_or_else(|| self.no_split(split))
    }

    /// Whether the task has a split.
    pub fn has(&self, split: Split) -> bool {
        self.parts.iter().any(|part| part.split == split)
    }

    /// How many rows have each class or label, in their order. Rows without one are not counted.
    pub fn count_labels(&self, examples: &[Example]) -> Vec<(String, usize)> {
        let mut counts = BTreeMap::new();
        let labels = examples.iter().filter_map(|example| example.label.as_ref());
        for class in labels.flat_map(Label::classes) {
            *counts.entry(*class).or_insert(0) += 1;
        }
        // Classes that the table does not list are named by their index.
        let name = |class: usize| {
            self.classes.get(class).map_or_else(|| class.to_string(), |name| (*name).to_owned())
        };
        counts.into_iter().map(|(class, count)| (name(class), count)).collect()
    }
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
