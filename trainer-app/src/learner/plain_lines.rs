//! The run as plain lines on standard error, for a terminal that is no terminal: one every few seconds, one an epoch.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Writes the lines.
#[derive(Debug)]
pub struct PlainLines {
    names: Vec<(MetricId, String)>,
    values: BTreeMap<String, f64>,
    epochs: usize,
    epoch: usize,
    split: String,
    items: usize,
    started: Instant,
    written: Instant,
}

impl Default for PlainLines {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            names: Vec::new(),
            values: BTreeMap::new(),
            epochs: 0,
            epoch: 1,
            split: String::new(),
            items: 0,
            started: now,
            written: now,
        }
    }
}

impl PlainLines {
    fn take(&mut self, state: MetricState) {
        let MetricState::Numeric(entry, Some(value)) = state else { return };
        if let Some((_, name)) = self.names.iter().find(|(id, _)| *id == entry.metric_id) {
            self.values.insert(name.clone(), value.current());
        }
    }

    fn write(&mut self, items: usize) {
        let values = self.names.iter().filter_map(|(_, name)| {
            let value = self.values.get(name)?;
            let text = if *value != 0.0 && value.abs() < 1e-3 {
                format!("{value:.2e}")
            } else {
                format!("{value:.4}")
            };
            Some(format!("{} {text}", name.to_lowercase()))
        });
        noteln!(
            "{:>6.0} s  epoch {}/{}  {:<5} {items:>4}/{}  {}",
            self.started.elapsed().as_secs_f64(),
            self.epoch,
            self.epochs,
            self.split,
            self.items,
            values.collect::<Vec<_>>().join("  ")
        );
        self.written = Instant::now();
    }
}

impl MetricsRendererTraining for PlainLines {
    fn update_train(&mut self, state: MetricState) {
        self.take(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.take(state);
    }

    fn on_train_end(
        &mut self,
        _summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }
}

impl TrainingProgressLogger for PlainLines {
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
        self.values.clear();
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

impl EvaluationProgressLogger for PlainLines {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRendererEvaluation for PlainLines {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl MetricsRenderer for PlainLines {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        if !self.names.iter().any(|(id, _)| *id == definition.metric_id) {
            self.names.push((definition.metric_id, definition.name.to_string()));
        }
    }
}
