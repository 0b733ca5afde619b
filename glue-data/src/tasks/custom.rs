//! One's own files as a task.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::DataError;
use crate::metric::Metric;
use crate::seed::derive_seed;
use crate::table_file::read_columns;
use crate::task::{Example, Label, Labels, Task};

/// Share of the training rows that is held out when there is no validation file.
const HELD_OUT: f64 = 0.1;

/// One's own files and their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomFiles {
    /// Name of the task.
    pub name: String,
    /// Training rows.
    pub train: PathBuf,
    /// Validation rows; without them a tenth of the training rows is held out, of every class alike.
    pub validation: Option<PathBuf>,
    /// Test rows.
    pub test: Option<PathBuf>,
    /// Column of the text.
    pub text: String,
    /// Column of the second text of a pair.
    pub text2: Option<String>,
    /// Column of the label.
    pub label: String,
    /// The label is a number and not a class.
    pub score: bool,
}

/// A task of one's own with its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomTask {
    /// Classes are those of the training rows, sorted.
    pub task: Task,
    /// Training rows.
    pub train: Vec<Example>,
    /// Validation rows.
    pub validation: Vec<Example>,
    /// Test rows; none without a file.
    pub test: Vec<Example>,
}

impl CustomFiles {
    /// Reads the files; `seed` chooses the rows that are held out.
    ///
    /// # Errors
    /// A file that is missing, malformed or without rows, a missing column, a label that the training rows do not
    /// have, a single class.
    pub fn read(&self, seed: u64) -> Result<CustomTask, DataError> {
        let labels = if self.score { Labels::Score } else { self.classes()? };
        let metrics = if self.score {
            vec![Metric::Spearman, Metric::Pearson]
        } else {
            vec![Metric::Accuracy, Metric::MacroF1]
        };
        let task = Task { name: self.name.clone(), labels, metrics };
        let rows = |path: &Path| {
            read_labeled(path, &self.text, self.text2.as_deref(), &self.label, &task.labels)
        };
        let mut train = rows(&self.train)?;
        let validation = match &self.validation {
            Some(path) => rows(path)?,
            None => hold_out(&mut train, seed),
        };
        let test = self.test.as_deref().map(rows).transpose()?.unwrap_or_default();
        Ok(CustomTask { task, train, validation, test })
    }

    fn classes(&self) -> Result<Labels, DataError> {
        let rows = read_columns(&self.train, &[&self.label])?;
        let is_empty = |label: &String| label.trim().is_empty();
        if let Some(row) = rows.iter().find(|row| row.fields.iter().any(is_empty)) {
            return Err(DataError::EmptyLabel { path: self.train.clone(), line: row.line });
        }
        let mut classes: Vec<String> = rows.into_iter().flat_map(|row| row.fields).collect();
        classes.sort();
        classes.dedup();
        match classes.as_slice() {
            [label] => Err(DataError::OneClass { path: self.train.clone(), label: label.clone() }),
            _ => Ok(Labels::Classes(classes)),
        }
    }
}

/// Reads labeled rows of one's own file.
///
/// # Errors
/// As [`CustomFiles::read`].
pub fn read_labeled(
    path: &Path,
    text: &str,
    text2: Option<&str>,
    label: &str,
    labels: &Labels,
) -> Result<Vec<Example>, DataError> {
    let columns: Vec<&str> = [text, label].into_iter().chain(text2).collect();
    let rows = read_columns(path, &columns)?.into_iter().map(|row| {
        let mut fields = row.fields.into_iter();
        let (text, label) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        Ok(Example {
            text,
            text2: fields.next(),
            label: Some(labels.parse(&label, path, row.line)?),
        })
    });
    rows.collect()
}

/// Reads rows of one's own file that have no label.
///
/// # Errors
/// As [`CustomFiles::read`].
pub fn read_unlabeled(
    path: &Path,
    text: &str,
    text2: Option<&str>,
) -> Result<Vec<Example>, DataError> {
    let columns: Vec<&str> = [text].into_iter().chain(text2).collect();
    let rows = read_columns(path, &columns)?.into_iter().map(|row| {
        let mut fields = row.fields.into_iter();
        Example { text: fields.next().unwrap_or_default(), text2: fields.next(), label: None }
    });
    Ok(rows.collect())
}

/// Takes a share of the rows out, of every class alike and at least one of all.
fn hold_out(train: &mut Vec<Example>, seed: u64) -> Vec<Example> {
    let mut order: Vec<usize> = (0..train.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(seed, "hold-out")));
    let class = |index: usize| match train[index].label {
        Some(Label::Class(class)) => class,
        _ => 0,
    };
    order.sort_by_key(|index| class(*index));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the inverse of a share"
    )]
    let every = (1.0 / HELD_OUT) as usize;
    let mut held: Vec<usize> = order.into_iter().skip(every / 2).step_by(every).collect();
    if held.is_empty() {
        held.push(0);
    }
    held.sort_unstable();
    let rows = held.iter().rev().map(|index| train.remove(*index)).collect::<Vec<_>>();
    rows.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path, name: &str, content: &str) -> CustomFiles {
        let train = directory.join(name);
        std::fs::write(&train, content).unwrap();
        CustomFiles {
            name: "mine".to_owned(),
            train,
            validation: None,
            test: None,
            text: "body".to_owned(),
            text2: None,
            label: "team".to_owned(),
            score: false,
        }
    }

    fn check_refused(name: &str, content: &str, sentence: &str) {
        let directory = tempfile::tempdir().unwrap();
        let error = files(directory.path(), name, content).read(1).unwrap_err().to_string();
        assert!(error.ends_with(sentence), "{error}");
    }

    #[test]
    fn the_three_formats_read_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let csv = "id,body,team\n1,\"a, \"\"quoted\"\" one\",x\n2,two,y\n";
        let tsv = "id\tbody\tteam\n1\ta, \"quoted\" one\tx\n2\ttwo\ty\n";
        let jsonl = "{\"body\": \"a, \\\"quoted\\\" one\", \"team\": \"x\"}\n{\"team\": \"y\", \"body\": \"two\"}\n";
        let read = |name, content| files(directory.path(), name, content).read(1).unwrap();
        let expected = read("a.csv", csv);
        assert_eq!(expected.task.labels, Labels::Classes(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(expected.train.len() + expected.validation.len(), 2);
        assert_eq!(read("a.tsv", tsv), expected);
        assert_eq!(read("a.jsonl", jsonl), expected);
    }

    #[test]
    fn broken_files_are_refused_with_their_place() {
        check_refused(
            "a.csv",
            "body,group\nx,y\n",
            "has no column `team`; its columns are body, group",
        );
        check_refused("a.csv", "body,team\n", "a.csv holds no rows");
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo,x\n",
            "needs two or more (--score reads numbers)",
        );
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo,\nthree,y\n",
            "a.csv line 3: the label is empty; fill it in or take the row out (what has no label yet is for `predict`)",
        );
        check_refused("a.txt", "", "expected a file that ends in .tsv, .csv or .jsonl");
        check_refused(
            "a.csv",
            "body,team\none,x\ntwo\n",
            "CSV error: record 2 (line: 3, byte: 16): found record with 1 fields, but the previous record has 2 fields",
        );
    }

    #[test]
    fn a_label_never_seen_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = files(directory.path(), "a.csv", "body,team\none,x\ntwo,y\n");
        let validation = directory.path().join("b.csv");
        std::fs::write(&validation, "body,team\nthree,x\nfour,z\n").unwrap();
        files.validation = Some(validation);
        let error = files.read(1).unwrap_err().to_string();
        assert!(error.ends_with("b.csv line 3: the label `z` is none of x, y"), "{error}");
    }

    #[test]
    fn what_is_held_out_is_a_tenth_of_every_class() {
        let directory = tempfile::tempdir().unwrap();
        let rows: Vec<String> = (0..100)
            .map(|row| format!("text {row},{}", if row % 5 == 0 { "x" } else { "y" }))
            .collect();
        let rows = rows.join("\n");
        let task = files(directory.path(), "a.csv", &format!("body,team\n{rows}")).read(7).unwrap();
        let count = |class| {
            task.validation.iter().filter(|row| row.label == Some(Label::Class(class))).count()
        };
        assert_eq!((task.train.len(), count(0), count(1)), (90, 2, 8));
        assert!(task.validation.iter().all(|row| !task.train.contains(row)));
        assert_eq!(
            files(directory.path(), "a.csv", &format!("body,team\n{rows}")).read(7).unwrap(),
            task
        );
    }
}
