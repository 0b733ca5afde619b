//! Scores a model's outputs for the validation rows of a run.

use std::fmt::Debug;

use glue_data::{Label, Task};
use serde_json::{Map, Value};

/// The logits of a row, and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct RowOutput {
    /// One per class, the score alone, or for a span one per position as a start and then one per position as an end.
    pub logits: Vec<f32>,
    /// The label, if it is known.
    pub label: Option<Label>,
}

/// Scores the validation rows of a run.
pub trait Evaluator: Debug + Send + Sync {
    /// The name of the main score.
    fn metric(&self) -> &'static str;

    /// All scores, by name; `None` if no label is known. `rows` are all validation rows, in their order.
    fn scores(&self, rows: &[RowOutput]) -> Option<Map<String, Value>>;

    /// The task whose main score is shown during an epoch; without one, the share of exactly predicted rows is shown.
    fn running_task(&self) -> Option<&Task> {
        None
    }

    /// Whether all rows have the same predicted class.
    fn predicts_single_class(&self, _rows: &[RowOutput]) -> bool {
        false
    }

    /// Whether a run has files with the predictions for its validation rows.
    fn has_prediction_files(&self) -> bool {
        false
    }

    /// The files with the predictions for the validation rows: names and contents.
    fn prediction_files(&self, _rows: &[RowOutput]) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The texts beside the rows' labels on which the scores depend, for the identity of a checkpoint.
    fn reference_texts(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Scores each row by its label.
impl Evaluator for Task {
    fn metric(&self) -> &'static str {
        self.metric().name()
    }

    fn scores(&self, rows: &[RowOutput]) -> Option<Map<String, Value>> {
        let predicted = rows.iter().map(|row| (self.kind.predict(&row.logits), row.label.clone()));
        scores(self, predicted)
    }

    fn running_task(&self) -> Option<&Task> {
        Some(self)
    }

    fn predicts_single_class(&self, rows: &[RowOutput]) -> bool {
        let mut classes = rows.iter().map(|row| self.kind.predict(&row.logits).class());
        let first = classes.next().flatten();
        first.is_some() && classes.all(|class| class == first)
    }
}

/// The scores of predictions by their labels; predictions without a label are left out, and `None` if none has one.
pub fn scores(
    task: &Task,
    predicted: impl IntoIterator<Item = (Label, Option<Label>)>,
) -> Option<Map<String, Value>> {
    let labeled =
        predicted.into_iter().filter_map(|(prediction, label)| Some((prediction, label?)));
    let (predictions, labels): (Vec<Label>, Vec<Label>) = labeled.unzip();
    (!labels.is_empty()).then(|| {
        let scores = task.scores(&predictions, &labels).into_iter();
        scores.map(|(metric, score)| (metric.name().to_owned(), Value::from(score))).collect()
    })
}
