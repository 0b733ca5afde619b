//! What a task is: a row of a table. Its files are read by `tabular`, the rows of the table are in `tasks`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::label_forms;
use crate::metric::Metric;
use crate::tabular;
use crate::unsplit_corpus::{self, UnsplitCorpus};

/// One text, or a pair, with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The text; the first of a pair.
    pub text: String,
    /// The second text of a pair.
    pub text2: Option<String>,
    /// What is to be predicted, where it is known.
    pub label: Option<Label>,
}

/// What a row is labeled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label {
    /// The index of a class.
    Class(usize),
    /// A number.
    Score(f32),
    /// Where an answer stands in the row, first and last token; both 0, `[CLS]`, where it is not in it.
    Span {
        /// Position of its first token.
        start: usize,
        /// Position of its last token.
        end: usize,
    },
}

/// What a model says of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prediction {
    /// The index of a class.
    Class(usize),
    /// A number.
    Score(f32),
}

/// What can be predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One of these; their order is that of the logits.
    Classes(Vec<String>),
    /// A number.
    Score,
}

impl Labels {
    /// How many outputs a model needs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes(names) => names.len(),
            Self::Score => 1,
        }
    }

    /// For each of these classes its place among others, which have the same names in whatever order; `None` where a
    /// name is in one of both alone. Names in another case are others. A score has its place where the other is a score.
    pub fn permutation_to(&self, others: &Self) -> Option<Vec<usize>> {
        match (self, others) {
            (Self::Score, Self::Score) => Some(vec![0]),
            (Self::Classes(names), Self::Classes(others)) if names.len() == others.len() => {
                let places: Option<Vec<usize>> = names
                    .iter()
                    .map(|name| others.iter().position(|other| other == name))
                    .collect();
                // A name that is there twice would hide one that is missing.
                places.filter(|places| (0..others.len()).all(|place| places.contains(&place)))
            }
            _ => None,
        }
    }

    /// Reads a label as it is in a file.
    pub(crate) fn parse(&self, text: &str, path: &Path, line: usize) -> Result<Label, DataError> {
        let class = match self {
            Self::Classes(names) => names.iter().position(|name| name == text),
            Self::Score => None,
        };
        match (class, self) {
            (Some(class), _) => Ok(Label::Class(class)),
            (None, _) if text.trim().is_empty() => {
                Err(DataError::EmptyLabel { path: path.to_owned(), line })
            }
            (None, Self::Classes(names)) => {
                let near = label_forms::near(names, text);
                Err(DataError::UnknownLabel {
                    path: path.to_owned(),
                    line,
                    found: text.to_owned(),
                    expected: names.join(", "),
                    hint: near.map_or(String::new(), |(name, what)| {
                        format!("; it differs from `{name}` in {what} alone: write it alike")
                    }),
                })
            }
            (None, Self::Score) => match text.trim().parse::<f32>() {
                Ok(score) if score.is_finite() => Ok(Label::Score(score)),
                _ => {
                    let with_point = text.trim().replacen(',', ".", 1);
                    let has_comma = text.contains(',') && with_point.parse::<f32>().is_ok();
                    Err(DataError::NotANumber {
                        path: path.to_owned(),
                        line,
                        found: text.to_owned(),
                        hint: if has_comma { "; write it with a decimal point" } else { "" },
                    })
                }
            },
        }
    }

    /// What a row of logits says.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn predict(&self, logits: &[f32]) -> Prediction {
        match self {
            Self::Classes(_) => Prediction::Class(argmax(logits).expect("a model has an output")),
            Self::Score => Prediction::Score(logits[0]),
        }
    }
}

/// The place of the largest value, the first of those that are equal, as numpy's `argmax`; `None` of no values.
pub fn argmax<T: PartialOrd>(values: &[T]) -> Option<usize> {
    let mut places = 0..values.len();
    let first = places.next()?;
    Some(places.fold(first, |best, place| if values[place] > values[best] { place } else { best }))
}

/// A task without its rows: what is predicted and how that is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What is predicted.
    pub labels: Labels,
    /// How that is judged; the first is the main one.
    pub metrics: Vec<Metric>,
}

/// Scores by the name of their metric, in the order of the task's metrics.
pub type Scores = Vec<(Metric, f64)>;

impl Task {
    /// Every score of some predictions.
    ///
    /// # Panics
    /// If there are not as many labels as predictions, or their kinds are not the task's.
    pub fn scores(&self, predictions: &[Prediction], labels: &[Label]) -> Scores {
        self.metrics.iter().map(|metric| (*metric, metric.compute(predictions, labels))).collect()
    }

    /// The main metric.
    ///
    /// # Panics
    /// If the task has no metric.
    pub fn metric(&self) -> Metric {
        self.metrics[0]
    }
}

/// A part of a task's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// MNLI's other validation rows, of genres that are not in the training rows.
    ValidationMismatched,
    /// To be judged by; unlabeled in GLUE.
    Test,
    /// MNLI's other test rows.
    TestMismatched,
}

impl Split {
    /// Every part.
    pub const ALL: [Self; 5] = [
        Self::Train,
        Self::Validation,
        Self::ValidationMismatched,
        Self::Test,
        Self::TestMismatched,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::ValidationMismatched => "validation-mismatched",
            Self::Test => "test",
            Self::TestMismatched => "test-mismatched",
        }
    }
}

/// One row of the table of tasks.
#[derive(Debug)]
pub struct TaskSpec {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it asks.
    pub title: &'static str,
    /// Its folder in a data directory, and in the published archive.
    pub directory: &'static str,
    /// Names of the classes in the order of the logits; none for a score, or where they are what the file has.
    pub classes: &'static [&'static str],
    /// How predictions are judged; the first is the main one.
    pub metrics: &'static [Metric],
    /// Its files.
    pub parts: &'static [Part],
    /// Where its publisher has it; none for what is embedded.
    pub source: Option<Source>,
}

/// One file of a task.
#[derive(Debug)]
pub struct Part {
    /// Which rows.
    pub split: Split,
    /// The file.
    pub file: &'static str,
    /// The file itself where it is part of this crate.
    pub embedded: Option<&'static str>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The columns, all of them; of a file that names them, those that are read.
    pub columns: &'static [&'static str],
    /// The column of the text, or of the first of a pair.
    pub text: &'static str,
    /// The column of the second text of a pair.
    pub text2: Option<&'static str>,
    /// The column of the label.
    pub label: Option<&'static str>,
    /// How many rows were published.
    pub rows: usize,
    /// Rows that are known to be cut short in the published file are left out and not an error.
    pub skip_short_rows: bool,
    /// The file that GLUE wants the predictions in.
    pub submission: Option<&'static str>,
    /// Where the file holds the rows of all parts: how this one's are read from it.
    pub pool: Option<&'static UnsplitCorpus>,
}

impl Part {
    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> usize {
        let place = self.columns.iter().position(|column| *column == name);
        place.expect("the table of tasks names columns that exist, which a test checks")
    }
}

/// Where a publisher has a task's files.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A zip whose folder is the task's.
    Zip {
        /// Its address.
        url: &'static str,
    },
    /// A zip of the files alone, which belong into the task's folder.
    ZipOfFiles {
        /// Its address.
        url: &'static str,
    },
    /// Nowhere as files that can be used as they are.
    ByHand {
        /// What to do.
        how: &'static str,
    },
}

impl TaskSpec {
    /// What is predicted and how that is judged; without the names of classes that only the file has.
    pub fn task(&self) -> Task {
        let labels = match self.classes {
            [] if self.pooled().is_none() => Labels::Score,
            classes => Labels::Classes(classes.iter().map(|class| (*class).to_owned()).collect()),
        };
        Task { name: self.name.to_owned(), labels, metrics: self.metrics.to_vec() }
    }

    /// What is predicted and how that is judged, with the classes that the file has where the table lists none.
    ///
    /// # Errors
    /// As [`TaskSpec::read`], where the classes are read from the file.
    pub fn task_in(&self, data: Option<&Path>) -> Result<Task, DataError> {
        let task = self.task();
        match self.pooled() {
            Some((part, pool)) if self.classes.is_empty() => {
                let (labels, _) = pool.read(part, self.classes, &self.find(data, part)?)?;
                Ok(Task { labels, ..task })
            }
            _ => Ok(task),
        }
    }

    /// How many classes there are; 0 for a score.
    pub fn n_classes(&self) -> usize {
        match self.pooled() {
            Some((_, pool)) if self.classes.is_empty() => pool.open_classes,
            _ => self.classes.len(),
        }
    }

    /// The rows that every part is drawn from, if it is so.
    fn pooled(&self) -> Option<(&'static Part, &'static UnsplitCorpus)> {
        self.parts.iter().find_map(|part| Some((part, part.pool?)))
    }

    /// The file of a split.
    ///
    /// # Errors
    /// A split that the task does not have.
    pub fn part(&self, split: Split) -> Result<&'static Part, DataError> {
        self.parts.iter().find(|part| part.split == split).ok_or_else(|| DataError::NoSplit {
            task: self.name.to_owned(),
            split: split.name().to_owned(),
            known: self.parts.iter().map(|part| part.split.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether the task has such rows.
    pub fn has(&self, split: Split) -> bool {
        self.parts.iter().any(|part| part.split == split)
    }

    /// Reads the rows of a split, from the data directory or from what is embedded.
    ///
    /// # Errors
    /// A file that is missing or not as it was published, with its line.
    pub fn read(&self, data: Option<&Path>, split: Split) -> Result<Vec<Example>, DataError> {
        let part = self.part(split)?;
        if let Some(text) = part.embedded {
            return self.parse(split, Path::new(part.file), text.as_bytes());
        }
        let path = self.find(data, part)?;
        if let Some(pool) = part.pool {
            let (_, examples) = pool.read(part, self.classes, &path)?;
            return Ok(unsplit_corpus::draw(examples, split));
        }
        let bytes = std::fs::read(&path)
            .map_err(|source| DataError::Read { path: path.clone(), source })?;
        self.parse(split, &path, &bytes)
    }

    /// Reads the rows of a split from the bytes of its file.
    ///
    /// # Errors
    /// A file that is not as it was published, with its line.
    ///
    /// # Panics
    /// If the splits are drawn from one file, or from folders.
    pub fn parse(
        &self,
        split: Split,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Vec<Example>, DataError> {
        let part = self.part(split)?;
        assert!(part.pool.is_none(), "a file of this split alone");
        tabular::read_published(part, &self.task().labels, bytes, path)
    }

    /// Where a part's file is.
    fn find(&self, data: Option<&Path>, part: &Part) -> Result<PathBuf, DataError> {
        let relative = format!("{}/{}", self.directory, part.file);
        let Some(data) = data else {
            return Err(DataError::NoDirectory { task: self.name.to_owned(), relative });
        };
        let path = self.locate(data, part);
        if path.exists() {
            Ok(path)
        } else {
            Err(DataError::MissingFile { task: self.name.to_owned(), path, relative })
        }
    }

    /// The file in a data directory: below the task's folder, or in the directory itself.
    fn locate(&self, data: &Path, part: &Part) -> PathBuf {
        let below = data.join(self.directory).join(part.file);
        let here = data.join(part.file);
        if !below.exists() && here.exists() && data.ends_with(self.directory) {
            here
        } else {
            below
        }
    }

    /// The labels of some rows, counted, in the order of the classes.
    pub fn count_labels(&self, examples: &[Example]) -> Vec<(String, usize)> {
        let mut counts = BTreeMap::new();
        for example in examples {
            if let Some(Label::Class(class)) = example.label {
                *counts.entry(class).or_insert(0) += 1;
            }
        }
        // Classes that only the file names are counted by their place.
        let name = |class: usize| {
            self.classes.get(class).map_or_else(|| class.to_string(), |name| (*name).to_owned())
        };
        counts.into_iter().map(|(class, count)| (name(class), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_their_names() {
        let classes =
            |names: &[&str]| Labels::Classes(names.iter().map(ToString::to_string).collect());
        let abc = classes(&["a", "b", "c"]);
        assert_eq!(abc.permutation_to(&classes(&["c", "a", "b"])), Some(vec![1, 2, 0]));
        assert_eq!(abc.permutation_to(&abc), Some(vec![0, 1, 2]));
        for others in [&["a", "b"][..], &["a", "b", "C"], &["a", "b", "c", "d"], &["a", "a", "b"]] {
            assert_eq!(abc.permutation_to(&classes(others)), None, "{others:?}");
            assert_eq!(classes(others).permutation_to(&abc), None, "{others:?}");
        }
        assert_eq!(classes(&["a", "a", "b"]).permutation_to(&classes(&["a", "b", "b"])), None);
        assert_eq!(Labels::Score.permutation_to(&Labels::Score), Some(vec![0]));
        assert_eq!(Labels::Score.permutation_to(&classes(&["a"])), None);
    }

    #[test]
    fn the_first_of_equal_classes_is_predicted() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax::<f32>(&[]), None);
        let labels = Labels::Classes(["a", "b", "c"].map(str::to_owned).to_vec());
        assert_eq!(labels.predict(&[0.5, 0.5, 0.5]), Prediction::Class(0));
        assert_eq!(labels.predict(&[0.0, -0.0, -1.0]), Prediction::Class(0));
    }
}
