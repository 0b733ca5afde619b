//! Scores a model's outputs for the validation rows of a run.

use std::fmt::Debug;

use burn_adapters::file::native::Calibration;
use glue_data::label_scores::label_ranking_average_precision;
use glue_data::{Label, Task, TaskKind};
use serde_json::{Map, Value};

use super::kind;
use super::score_details::ScoreDetails;
use super::tuning::Tuning;

/// The name of the label-ranking average precision, which depends on the logits and not only on the predicted labels.
const LABEL_RANKING: &str = "label-ranking-average-precision";

/// The logits of a row, and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct RowOutput {
    /// One per class or label, the score alone, or for a span one per position as a start and then one per position as an end.
    pub logits: Vec<f32>,
    /// The label, if it is known.
    pub label: Option<Label>,
}

/// Scores the validation rows of a run.
pub trait Evaluator: Debug + Send + Sync {
    /// The name of the main score.
    fn metric(&self) -> &'static str;

    /// All scores, by name, of labels that are predicted with a calibration; `None` if no label is known. `rows` are all
    /// validation rows, in their order.
    fn scores(&self, rows: &[RowOutput], calibration: &Calibration) -> Option<Map<String, Value>>;

    /// The thresholds or the temperature that suit the rows best.
    fn calibration(&self, _rows: &[RowOutput], _tuning: Tuning) -> Calibration {
        Calibration::default()
    }

    /// The scores of each label, and what else they consist of.
    fn details(&self, _rows: &[RowOutput], _calibration: &Calibration) -> Option<ScoreDetails> {
        None
    }

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

    fn scores(&self, rows: &[RowOutput], calibration: &Calibration) -> Option<Map<String, Value>> {
        let predicted = rows
            .iter()
            .map(|row| (kind::predict(&self.kind, calibration, &row.logits), row.label.clone()));
        let mut scores = scores(self, predicted)?;
        if let TaskKind::MultiLabel { .. } = self.kind {
            let labeled = rows
                .iter()
                .filter_map(|row| Some((row.logits.as_slice(), row.label.as_ref()?.set()?)));
            let (logits, expected): (Vec<&[f32]>, Vec<&[usize]>) = labeled.unzip();
            let precision = label_ranking_average_precision(&logits, &expected);
            scores.insert(LABEL_RANKING.to_owned(), Value::from(precision));
        }
        Some(scores)
    }

    fn calibration(&self, rows: &[RowOutput], tuning: Tuning) -> Calibration {
        tuning.choose(&self.kind, rows)
    }

    fn details(&self, rows: &[RowOutput], calibration: &Calibration) -> Option<ScoreDetails> {
        ScoreDetails::of(&self.kind, rows, calibration)
    }

    fn running_task(&self) -> Option<&Task> {
        Some(self)
    }

    fn predicts_single_class(&self, rows: &[RowOutput]) -> bool {
        // An untrained model of many labels predicts none; only one that always predicts the same labels has collapsed.
        let mut classes = rows.iter().map(|row| match self.kind.predict(&row.logits) {
            Label::Set { classes, .. } if classes.is_empty() => None,
            label @ (Label::Class(_) | Label::Set { .. }) => Some(label),
            _ => None,
        });
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
