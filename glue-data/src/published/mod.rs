//! Reads the files of published tasks.

mod tsv;
pub(crate) mod unsplit_corpus;

use std::path::Path;

use crate::error::DataError;
use crate::published_task::PublishedTask;
use crate::rows::{Example, Split};
use crate::task::Task;
use crate::task_spec::TaskSpec;

impl TaskSpec {
    /// The task, with the classes of the file if the table lists none.
    ///
    /// # Errors
    /// As [`TaskSpec::read`], if the classes are read from the file.
    pub fn task_in(&self, data: Option<&Path>) -> Result<Task, DataError> {
        let task = self.task();
        match self.corpus() {
            Some((part, corpus)) if self.classes.is_empty() => {
                let path = self.find_file(data, part.file)?;
                let (kind, _) = unsplit_corpus::read(corpus, part, self.classes, &path)?;
                Ok(Task { kind, ..task })
            }
            _ => Ok(task),
        }
    }

    /// Reads the rows of a split, from the data directory or from the embedded file.
    ///
    /// # Errors
    /// If a file is missing or is not as it was published; the error names the line.
    pub fn read(&self, data: Option<&Path>, split: Split) -> Result<Vec<Example>, DataError> {
        let part = self.part(split)?;
        if let Some(text) = part.embedded {
            return self.parse(split, Path::new(part.file), text.as_bytes());
        }
        let path = self.find_file(data, part.file)?;
        if let Some(corpus) = part.corpus {
            let (_, examples) = unsplit_corpus::read(corpus, part, self.classes, &path)?;
            return Ok(unsplit_corpus::draw(examples, split));
        }
        let bytes = std::fs::read(&path)
            .map_err(|source| DataError::Read { path: path.clone(), source })?;
        self.parse(split, &path, &bytes)
    }

    /// Parses the bytes of the file of a split; `path` is used in errors.
    ///
    /// # Errors
    /// If the file is not as it was published; the error names the line.
    ///
    /// # Panics
    /// If the splits are drawn from one corpus.
    pub fn parse(
        &self,
        split: Split,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Vec<Example>, DataError> {
        let part = self.part(split)?;
        assert!(part.corpus.is_none(), "a split with a file of its own");
        tsv::read_examples(part, &self.task().kind, bytes, path)
    }
}
