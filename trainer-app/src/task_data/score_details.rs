//! What the scores of labels consist of: precision, recall and F1 of each label, the confusion matrix, and the calibration
//! of the probabilities.

use burn_adapters::file::native::Calibration;
use glue_data::calibration::expected_calibration_error;
use glue_data::label_scores::{LabelScore, by_label, confusion_matrix};
use glue_data::{Label, TaskKind};
use serde::{Deserialize, Serialize};

use super::evaluator::RowOutput;
use super::kind;

/// A confusion matrix of more classes is hardly read, and large.
const MAX_CONFUSED: usize = 100;

/// The details of the scores of some rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreDetails {
    /// The scores of each label, in the order of the outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_label: Vec<NamedScore>,
    /// For each class the number of its rows that are predicted as each class, both in the order of `by_label`; none for
    /// several labels a row, and for more than 100 classes. For entities the number of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<usize>>,
    /// The name of a further row and column of the confusion matrix, for what has no label: words that are in no entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_label: Option<String>,
    /// The expected calibration error of the predicted classes; none for several labels a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationError>,
}

/// The scores of a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedScore {
    /// The label.
    pub label: String,
    /// Share of its predictions that are right.
    pub precision: f64,
    /// Share of its rows for which it is predicted.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Number of its rows.
    pub support: usize,
    /// The probability from which it is predicted, if it was chosen on validation rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// The expected calibration error of 15 bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationError {
    /// The temperature by which the logits are divided, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The error.
    pub error: f64,
    /// The error without the temperature, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_without: Option<f64>,
}

impl ScoreDetails {
    /// The details of labeled rows; `None` if the outputs have no names or no label is known.
    pub fn of(kind: &TaskKind, rows: &[RowOutput], calibration: &Calibration) -> Option<Self> {
        let names = kind.labels()?;
        let labeled: Vec<(&RowOutput, &Label)> =
            rows.iter().filter_map(|row| Some((row, row.label.as_ref()?))).collect();
        if labeled.is_empty() {
            return None;
        }
        let predicted: Vec<Label> =
            labeled.iter().map(|(row, _)| kind::predict(kind, calibration, &row.logits)).collect();
        let scores = by_label(
            predicted.iter().map(Label::classes),
            labeled.iter().map(|(_, label)| label.classes()),
            names.len(),
        );
        let named = names.iter().zip(scores).enumerate().map(|(output, (label, score))| {
            let LabelScore { precision, recall, f1, support } = score;
            let threshold = calibration.thresholds.get(output).copied();
            NamedScore { label: label.clone(), precision, recall, f1, support, threshold }
        });
        let mut details = Self { by_label: named.collect(), ..Self::default() };
        if let TaskKind::Classification { .. } = kind {
            if names.len() <= MAX_CONFUSED {
                let of = |labels: Vec<&Label>| -> Vec<usize> {
                    labels.into_iter().filter_map(Label::class).collect()
                };
                let expected = of(labeled.iter().map(|(_, label)| *label).collect());
                details.confusion =
                    confusion_matrix(&of(predicted.iter().collect()), &expected, names.len());
            }
            let error = |temperature: f64| {
                let rows = labeled
                    .iter()
                    .filter_map(|(row, label)| Some((row.logits.as_slice(), label.class()?)));
                expected_calibration_error(rows, temperature)
            };
            let temperature = calibration.temperature;
            details.calibration = Some(CalibrationError {
                temperature,
                error: error(temperature.unwrap_or(1.0)),
                error_without: temperature.map(|_| error(1.0)),
            });
        }
        Some(details)
    }
}
