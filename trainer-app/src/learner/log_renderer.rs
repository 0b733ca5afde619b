//! Plain log lines on standard error, for output that is not a terminal: one every few seconds, and one per epoch.
//! A line has means over the completed part of the epoch, with equal weights for all rows; learning rate and memory are
//! those of the last step.

use std::time::{Duration, Instant};

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricAttributes, MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

use super::metrics::LATEST;

const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Writes log lines.
#[derive(Debug)]
pub struct LogRenderer {
    columns: Vec<Column>,
    epochs: usize,
    epoch: usize,
    split: String,
    items: usize,
    started: Instant,
    written: Instant,
}

/// A metric, and its sum over the completed part of the epoch.
#[derive(Debug)]
struct Column {
    id: MetricId,
    name: String,
    unit: String,
    is_score: bool,
    sum: f64,
    weight: f64,
}

impl Column {
    fn new(definition: MetricDefinition) -> Self {
        let (unit, is_score) = match definition.attributes {
            MetricAttributes::Numeric(attributes) => (attributes.unit, attributes.higher_is_better),
            MetricAttributes::None => (None, false),
        };
        Self {
            id: definition.metric_id,
            name: definition.name.to_string(),
            unit: unit.map(|unit| format!(" {unit}")).unwrap_or_default(),
            is_score,
            sum: 0.0,
            weight: 0.0,
        }
    }

    fn update(&mut self, entry: &NumericEntry) {
        match entry {
            NumericEntry::Aggregated { aggregated_value, count }
                if !LATEST.contains(&self.name.as_str()) =>
            {
                self.sum += aggregated_value * *count as f64;
                self.weight += *count as f64;
            }
            // The current value: a score is over all rows so far.
            entry => (self.sum, self.weight) = (entry.current(), 1.0),
        }
    }

    /// The name and value of the metric with its unit, if there is a value.
    fn text(&self) -> Option<String> {
        if self.weight == 0.0 {
            return None;
        }
        let (value, name) = (self.sum / self.weight, self.name.to_lowercase());
        let number = match value.abs() {
            _ if self.is_score => format!("{value:.1}"),
            size if size != 0.0 && size < 1e-2 => format!("{value:.1e}"),
            size if size < 10.0 => format!("{value:.3}"),
            _ => format!("{value:.0}"),
        };
        Some(format!("{name} {number}{}", self.unit))
    }
}

impl Default for LogRenderer {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            columns: Vec::new(),
            epochs: 0,
            epoch: 1,
            split: String::new(),
            items: 0,
            started: now,
            written: now,
        }
    }
}

impl LogRenderer {
    fn update(&mut self, state: &MetricState) {
        let MetricState::Numeric(entry, Some(value)) = state else { return };
        let column = self.columns.iter_mut().find(|column| column.id == entry.metric_id);
        if let Some(column) = column {
            column.update(value);
        }
    }

    fn line(&self, items: usize) -> String {
        let what = if self.split == "train" { "steps" } else { "batches" };
        let metrics: Vec<String> = self.columns.iter().filter_map(Column::text).collect();
        format!(
            "epoch {}/{}  {:<5} {items:>4}/{} {what}  {}",
            self.epoch,
            self.epochs,
            self.split,
            self.items,
            metrics.join("  ")
        )
    }

    fn write(&mut self, items: usize) {
        noteln!("{:>6.0} s  {}", self.started.elapsed().as_secs_f64(), self.line(items));
        self.written = Instant::now();
    }
}

impl MetricsRendererTraining for LogRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.update(&state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.update(&state);
    }

    fn on_train_end(
        &mut self,
        _summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }
}

impl TrainingProgressLogger for LogRenderer {
    fn start(
        &mut self,
        epochs: usize,
        starting_epoch: usize,
        _items: Option<usize>,
        _label: Option<&str>,
    ) {
        (self.epochs, self.epoch) = (epochs, starting_epoch);
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.epoch = epoch + 1;
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.split = split.to_lowercase();
        self.items = items;
        for column in &mut self.columns {
            (column.sum, column.weight) = (0.0, 0.0);
        }
    }

    fn update_split(&mut self, items: usize) {
        if items == self.items || self.written.elapsed() >= BETWEEN_LINES {
            self.write(items);
        }
    }

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for LogRenderer {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRendererEvaluation for LogRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl MetricsRenderer for LogRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        if !self.columns.iter().any(|column| column.id == definition.metric_id) {
            self.columns.push(Column::new(definition));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::train::metric::{MetricEntry, SerializedEntry};
    use glue_data::TaskKind;

    use super::*;
    use crate::learner::metrics::Gauge;

    /// A renderer with these gauges, and their ids.
    fn lines(gauges: &[Gauge]) -> (LogRenderer, Vec<MetricId>) {
        use burn::train::metric::Metric;

        let mut lines = LogRenderer::default();
        let mut ids = Vec::new();
        for gauge in gauges {
            let id = MetricId::new(gauge.name());
            lines.register_metric(MetricDefinition::new(id.clone(), gauge));
            ids.push(id);
        }
        (lines, ids)
    }

    fn update(lines: &mut LogRenderer, id: &MetricId, aggregated_value: f64, count: usize) {
        let entry = MetricEntry::new(id.clone(), SerializedEntry::not_available(None));
        let value = NumericEntry::Aggregated { aggregated_value, count };
        lines.update_train(MetricState::Numeric(entry, Some(value)));
    }

    #[test]
    fn a_line_has_means_over_the_epoch_and_latest_values() {
        let gauges = [Gauge::loss(), Gauge::learning_rate(), Gauge::step_time(), Gauge::memory()];
        let (mut lines, ids) = lines(&gauges);
        lines.start(10, 3, None, None);
        lines.start_split("Train", 20);
        for (loss, rate, seconds, memory, rows) in
            [(1.0, 3e-4, 0.5, 100.0, 32), (2.0, 2e-4, 1.5, 345.0, 16)]
        {
            for (id, value) in ids.iter().zip([loss, rate, seconds, memory]) {
                update(&mut lines, id, value, rows);
            }
        }
        assert_eq!(
            lines.line(2),
            "epoch 3/10  train    2/20 steps  loss 1.333  learning rate 2.0e-4  step time 0.833 s  memory 345 MiB"
        );
        lines.start_split("Valid", 5);
        update(&mut lines, &ids[0], 0.5, 8);
        assert_eq!(lines.line(1), "epoch 3/10  valid    1/5 batches  loss 0.500");
    }

    #[test]
    fn a_score_has_one_digit() {
        let (mut lines, ids) = lines(&[Gauge::labels_found(TaskKind::Span)]);
        update(&mut lines, &ids[0], 9.25, 8);
        assert!(lines.line(1).ends_with("  spans found 9.2"), "{}", lines.line(1));
    }
}
