//! A task: its name, what it predicts, and the metrics of its predictions.

use crate::metric::Metric;
use crate::task_kind::{Label, TaskKind};

/// A task without its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The name.
    pub name: String,
    /// What is predicted.
    pub kind: TaskKind,
    /// The metrics; the first is the main one.
    pub metrics: Vec<Metric>,
}

impl Task {
    /// A task of a user's own rows, with the usual metrics of its kind.
    pub fn new(name: String, kind: TaskKind) -> Self {
        let metrics = Metric::defaults_of(&kind).to_vec();
        Self { name, kind, metrics }
    }

    /// The score of some predictions by each metric, in the order of the metrics.
    ///
    /// # Panics
    /// If there are not as many labels as predictions, or a label is not of the task's kind.
    pub fn scores(&self, predictions: &[Label], labels: &[Label]) -> Vec<(Metric, f64)> {
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
