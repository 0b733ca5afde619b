//! The choice of thresholds and of a temperature on validation rows.

use burn_adapters::file::native::Calibration;
use glue_data::calibration::best_temperature;
use glue_data::label_scores::best_threshold;
use glue_data::{Label, TaskKind, sigmoid};

use super::evaluator::RowOutput;

/// What is chosen on the validation rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tuning {
    /// A threshold for each label of a task with several labels a row.
    pub thresholds: bool,
    /// A temperature for the classes of a task with one label a row.
    pub temperature: bool,
}

impl Tuning {
    /// Chooses by the outputs for labeled rows; the default for another kind of task.
    pub fn choose(self, kind: &TaskKind, rows: &[RowOutput]) -> Calibration {
        match kind {
            TaskKind::Classification { .. } if self.temperature => {
                let labeled = rows
                    .iter()
                    .filter_map(|row| Some((row.logits.as_slice(), row.label.as_ref()?.class()?)));
                let temperature = Some(best_temperature(labeled));
                Calibration { temperature, ..Calibration::default() }
            }
            TaskKind::MultiLabel { labels } if self.thresholds => {
                let labeled: Vec<(&RowOutput, &[usize])> = rows
                    .iter()
                    .filter_map(|row| Some((row, row.label.as_ref().and_then(Label::set)?)))
                    .collect();
                let threshold = |label: usize| {
                    let shares: Vec<f64> = labeled
                        .iter()
                        .map(|(row, _)| sigmoid(f64::from(row.logits[label])))
                        .collect();
                    let has: Vec<bool> =
                        labeled.iter().map(|(_, labels)| labels.contains(&label)).collect();
                    best_threshold(&shares, &has)
                };
                let thresholds = (0..labels.len()).map(threshold).collect();
                Calibration { thresholds, ..Calibration::default() }
            }
            _ => Calibration::default(),
        }
    }
}
