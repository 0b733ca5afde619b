//! A run as one progress bar, for the cell of a sweep.

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use derive_new::new;
use indicatif::ProgressBar;

/// Updates the progress bar.
#[derive(Debug, new)]
pub struct ProgressBarRenderer {
    bar: ProgressBar,
    #[new(value = "1")]
    epoch: u64,
    #[new(default)]
    items: u64,
    #[new(value = "true")]
    is_training: bool,
}

impl MetricsRendererTraining for ProgressBarRenderer {
    fn update_train(&mut self, _state: MetricState) {}

    fn update_valid(&mut self, _state: MetricState) {}

    fn on_train_end(
        &mut self,
        _summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }
}

impl TrainingProgressLogger for ProgressBarRenderer {
    fn start(
        &mut self,
        epochs: usize,
        starting_epoch: usize,
        _items: Option<usize>,
        _label: Option<&str>,
    ) {
        self.epoch = starting_epoch as u64;
        self.bar.set_prefix(epochs.to_string());
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.epoch = epoch as u64 + 1;
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.is_training = split.eq_ignore_ascii_case("train");
        if self.is_training {
            self.items = items as u64;
            let epochs: u64 = self.bar.prefix().parse().unwrap_or(1);
            self.bar.set_length(epochs * self.items);
        }
    }

    fn update_split(&mut self, items: usize) {
        if self.is_training {
            self.bar.set_position((self.epoch - 1) * self.items + items as u64);
        }
    }

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for ProgressBarRenderer {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRendererEvaluation for ProgressBarRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl MetricsRenderer for ProgressBarRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, _definition: MetricDefinition) {}
}
