//! Notes on the files of a user's own task.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::label_columns::{LabelColumns, LabeledRow};
use crate::lines::Lines;
use crate::rows::Example;
use crate::task_kind::Label;

/// Numeric labels are probably scores if there are at least this many, and more than half as many as rows.
const MANY_CLASSES: usize = 10;

/// Something in the files that is allowed but may be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The classes are numbers, and may be meant as scores.
    LookLikeScores {
        /// The training rows.
        path: PathBuf,
        /// Number of different labels.
        classes: usize,
        /// Number of rows.
        rows: usize,
    },
    /// All rows have the same score.
    OneScore {
        /// The rows.
        path: PathBuf,
        /// The score.
        score: String,
    },
    /// No row has the separator of several labels.
    NoSeparator {
        /// The training rows.
        path: PathBuf,
        /// The column of the labels.
        column: String,
        /// The separator.
        separator: String,
    },
    /// Some texts are blank.
    BlankTexts {
        /// The file.
        path: PathBuf,
        /// Number of rows.
        rows: usize,
        /// The lines of the blank texts.
        lines: Lines,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookLikeScores { path, classes, rows } => write!(
                formatter,
                "{}: the labels of its {rows} rows are {classes} different numbers, each a class of its own; \
                 --score reads them as scores",
                path.display()
            ),
            Self::OneScore { path, score } => write!(
                formatter,
                "{}: every row has the score {score}, so that nothing can be learned or correlated with it",
                path.display()
            ),
            Self::NoSeparator { path, column, separator } => write!(
                formatter,
                "{}: no field of the column `{column}` has the separator `{separator}`, so that no row has more than one \
                 label",
                path.display()
            ),
            Self::BlankTexts { path, rows, lines } => write!(
                formatter,
                "{}: {} of {rows} texts are blank: {lines}",
                path.display(),
                lines.count()
            ),
        }
    }
}

/// A note if all labels are numbers and some have a fraction, or there are nearly as many as rows.
pub(super) fn look_like_scores(path: &Path, classes: &[String], rows: usize) -> Option<Note> {
    let numbers: Option<Vec<f64>> = classes.iter().map(|class| class.parse().ok()).collect();
    let numbers = numbers?;
    let has_fraction = numbers.iter().any(|number| number.is_finite() && number.fract() != 0.0);
    let are_many = classes.len() >= MANY_CLASSES && 2 * classes.len() > rows;
    (has_fraction || are_many).then(|| Note::LookLikeScores {
        path: path.to_owned(),
        classes: classes.len(),
        rows,
    })
}

/// A note if no row has several labels, although they have a separator.
pub(super) fn no_separator(
    path: &Path,
    labels: &LabelColumns,
    rows: &[LabeledRow],
) -> Option<Note> {
    let LabelColumns::Separated { column, separator } = labels else { return None };
    let is_absent = rows.iter().all(|row| row.label.names().len() < 2);
    is_absent.then(|| Note::NoSeparator {
        path: path.to_owned(),
        column: column.clone(),
        separator: separator.clone(),
    })
}

/// A note if there are several rows, all with the same score.
pub(super) fn one_score(path: &Path, rows: &[Example]) -> Option<Note> {
    let first = rows.first()?.label.as_ref()?;
    let Label::Score(score) = first else { return None };
    let is_one = rows.len() > 1 && rows.iter().all(|row| row.label.as_ref() == Some(first));
    is_one.then(|| Note::OneScore { path: path.to_owned(), score: score.to_string() })
}

/// A note if some texts are blank; each row comes with the line on which it begins.
pub(super) fn blank_texts(path: &Path, rows: &[(usize, Example)]) -> Option<Note> {
    let mut lines = Lines::default();
    let blank = rows.iter().filter(|(_, example)| example.is_blank());
    blank.for_each(|(line, _)| lines.add(*line));
    (lines.count() > 0).then(|| Note::BlankTexts { path: path.to_owned(), rows: rows.len(), lines })
}
