//! GLUE's submission files, and predictions that are read from files to be scored.

use std::fmt::Write;
use std::path::Path;

use crate::error::{DataError, PublishedError, TableError};
use crate::label_columns::{LabelColumns, LabeledRow, WrittenLabel};
use crate::tabular::{column_names, is_jsonl, read_columns, read_tabs};
use crate::task::Task;
use crate::task_kind::{Label, TaskKind};

/// Reads predictions for a task: a submission file, or the JSON Lines that `trainer predict --json` prints.
///
/// # Errors
/// If the file cannot be read or is malformed, the rows of a submission are not numbered from 0, or a prediction is not of
/// the kind.
pub fn read_predictions(path: &Path, kind: &TaskKind) -> Result<Vec<Label>, DataError> {
    if is_jsonl(path) {
        return match kind {
            TaskKind::MultiLabel { .. } => labels(written(path, "labels")?, path, kind),
            TaskKind::Classification { .. } => labels(written(path, "label")?, path, kind),
            _ => read_scores(path, "score", kind),
        };
    }
    let rows = read_tabs(path, &["prediction", "index"])?;
    let labels = rows.into_iter().enumerate().map(|(expected, row)| {
        let [prediction, found] = row.fields.as_slice() else {
            return Err(DataError::Empty { path: path.to_owned() });
        };
        if found.parse() != Ok(expected) {
            let (path, line, found) = (path.to_owned(), row.line, found.clone());
            return Err(PublishedError::RowIndex { path, line, found, expected }.into());
        }
        kind.parse_label(prediction, path, row.line)
    });
    labels.collect()
}

/// The labels of a file and the predictions for it, with what is predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelPairs {
    /// The task, whose classes are all labels of both files.
    pub task: Task,
    /// The labels of the rows.
    pub labels: Vec<Label>,
    /// The predictions, as many.
    pub predictions: Vec<Label>,
}

impl LabelPairs {
    /// Reads the labels of a user's own file, and the JSON Lines that `trainer predict --json` printed for it. Their key
    /// says what is predicted: `label`, `labels` or `score`.
    ///
    /// # Errors
    /// If a file cannot be read or is malformed, or there are not as many predictions as rows.
    pub fn read(gold: &Path, columns: &LabelColumns, path: &Path) -> Result<Self, DataError> {
        let keys = column_names(path)?;
        let has = |key: &str| keys.iter().any(|found| found == key);
        let (kind, labels, predictions) = if let LabelColumns::One { column } = columns
            && has("score")
            && !has("label")
        {
            let kind = TaskKind::Regression;
            let labels = read_scores(gold, column, &kind)?;
            (kind.clone(), labels, read_scores(path, "score", &kind)?)
        } else {
            let key = if has("labels") { "labels" } else { "label" };
            let (rows, predicted) = (columns.read(gold, &[])?, written(path, key)?);
            let all = rows.iter().chain(&predicted);
            let mut names: Vec<String> = all.flat_map(|row| row.label.names()).cloned().collect();
            names.sort();
            names.dedup();
            let kind = if key == "labels" {
                TaskKind::MultiLabel { labels: names }
            } else {
                TaskKind::Classification { labels: names }
            };
            let gold = columns.parse(rows, gold, &kind)?;
            let gold = gold.into_iter().map(|(label, _)| label).collect();
            (kind.clone(), gold, self::labels(predicted, path, &kind)?)
        };
        check_prediction_count(path, predictions.len(), labels.len())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { task: Task::new(name, kind), labels, predictions })
    }
}

fn read_scores(path: &Path, column: &str, kind: &TaskKind) -> Result<Vec<Label>, DataError> {
    let rows = read_columns(path, &[column])?.into_iter();
    rows.map(|row| kind.parse_label(&row.fields[0], path, row.line)).collect()
}

fn written(path: &Path, key: &str) -> Result<Vec<LabeledRow>, DataError> {
    LabelColumns::One { column: key.to_owned() }.read(path, &[])
}

/// The predictions of rows, each of which may be empty where a row has any number of labels.
fn labels(rows: Vec<LabeledRow>, path: &Path, kind: &TaskKind) -> Result<Vec<Label>, DataError> {
    let rows = rows.into_iter().map(|LabeledRow { label, texts }| match (label, kind) {
        (WrittenLabel::One(label), _) => kind.parse_label(&label, path, texts.line),
        (WrittenLabel::Several(labels), TaskKind::MultiLabel { .. }) => {
            kind.parse_set(&labels, path, texts.line)
        }
        (WrittenLabel::Several(_), _) => Err(TableError::JsonLine {
            path: path.to_owned(),
            line: texts.line,
            reason: "`label` is a list, expected a text".to_owned(),
        }
        .into()),
    });
    rows.collect()
}

/// Checks that there is a prediction for each row of a file.
///
/// # Errors
/// If the numbers differ.
pub fn check_prediction_count(
    path: &Path,
    predictions: usize,
    rows: usize,
) -> Result<(), DataError> {
    if predictions == rows {
        return Ok(());
    }
    Err(TableError::Predictions { path: path.to_owned(), predictions, rows }.into())
}

/// The text of a submission file: `index<TAB>prediction`, where scores are clamped to 0..=5.
///
/// # Panics
/// If a prediction is not of the kind.
pub fn submission(kind: &TaskKind, predictions: &[Label]) -> String {
    let mut text = String::from("index\tprediction\n");
    for (index, prediction) in predictions.iter().enumerate() {
        let name = match prediction {
            Label::Score(score) => kind.label_name(&Label::Score(score.clamp(0.0, 5.0))),
            other => kind.label_name(other),
        };
        writeln!(text, "{index}\t{name}").expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_scores_are_clamped() {
        let labels = vec!["entailment".to_owned(), "not_entailment".to_owned()];
        let kind = TaskKind::Classification { labels };
        let text = submission(&kind, &[Label::Class(1), Label::Class(0)]);
        assert_eq!(text, "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
        let text = submission(&TaskKind::Regression, &[Label::Score(5.2), Label::Score(1.23456)]);
        assert_eq!(text, "index\tprediction\n0\t5.000\n1\t1.235\n");
    }
}
