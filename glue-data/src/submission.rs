//! GLUE's submission files, and predictions that are read again.

use std::fmt::Write;
use std::path::Path;

use crate::error::{DataError, PublishedError, TableError};
use crate::tabular::{read_columns, read_tabs};
use crate::task_kind::{Label, TaskKind};

/// Reads predictions: a submission file, or the JSON Lines that `trainer predict --json` prints.
///
/// # Errors
/// If the file cannot be read or is malformed, the rows of a submission are not numbered from 0, or a prediction is not of
/// the kind.
pub fn read_predictions(path: &Path, kind: &TaskKind) -> Result<Vec<Label>, DataError> {
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
    let rows = if is_json {
        let key = if kind.labels().is_some() { "label" } else { "score" };
        read_columns(path, &[key])?
    } else {
        read_tabs(path, &["prediction", "index"])?
    };
    let labels = rows.into_iter().enumerate().map(|(expected, row)| {
        if let Some(found) = row.fields.get(1)
            && found.parse() != Ok(expected)
        {
            let (path, line, found) = (path.to_owned(), row.line, found.clone());
            return Err(PublishedError::RowIndex { path, line, found, expected }.into());
        }
        kind.parse_label(&row.fields[0], path, row.line)
    });
    labels.collect()
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
