//! The metrics of the dashboard: gauges over the outputs of steps, and the task's main score over a split.

use std::sync::Arc;

use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::tensor::TensorReadError;
use burn::train::logger::MetricLogger;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};

use burn_adapters::file::native::Calibration;
use glue_data::{Label, Task, TaskKind};

use super::step::StepOutput;
use crate::task_data::evaluator::{Evaluator, RowOutput};

/// A logger that keeps nothing. `metrics.jsonl` has every value, and nothing reads them from Burn, whose own loggers
/// write further files or hold every value of every step in memory.
#[derive(Debug)]
pub struct NoMetricLogger;

impl MetricLogger for NoMetricLogger {
    fn log(&mut self, _update: MetricsUpdate, _epoch: usize, _split: &Split) {}

    fn read_numeric(
        &mut self,
        _name: &str,
        _epoch: usize,
        _split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {}
}

impl Adaptor<StepOutput> for StepOutput {
    fn adapt(&self) -> StepOutput {
        self.clone()
    }
}

const LEARNING_RATE: &str = "Learning rate";
const MEMORY: &str = "Memory";

/// Gauges of which the last value is shown, and not the mean.
pub(super) const LATEST: [&str; 2] = [LEARNING_RATE, MEMORY];

/// Reads the number from a step.
type Read = Arc<dyn Fn(&StepOutput, &MetricMetadata) -> Option<f64> + Send + Sync>;

/// One number of a step, averaged over the epoch.
#[derive(Clone)]
pub struct Gauge {
    name: MetricName,
    unit: Option<&'static str>,
    precision: usize,
    higher_is_better: bool,
    read: Read,
    state: NumericMetricState,
}

impl Gauge {
    /// The mean loss of the batch.
    pub fn loss() -> Self {
        Self::new("Loss", None, 4, |step, _| Some(step.loss))
    }

    /// The learning rate the step was taken with.
    pub fn learning_rate() -> Self {
        Self::new(LEARNING_RATE, None, 6, |_, metadata| {
            metadata.lr.as_ref().map(ModuleLearningRate::base)
        })
    }

    /// The global norm of the gradients before clipping.
    pub fn gradient_norm() -> Self {
        Self::new("Gradient norm", None, 3, |step, _| step.gradient_norm)
    }

    /// Percentage of the spans, or of the tags of words, that are predicted exactly. What they are parts of, the answers to
    /// questions and entities, is scored after the epoch.
    pub fn labels_found(kind: TaskKind) -> Self {
        let name = if kind == TaskKind::Span { "Spans found" } else { "Tags found" };
        let gauge = Self::new(name, None, 1, move |step, _| {
            let counts = step
                .rows
                .iter()
                .filter_map(|row| Some(found(row.label.as_ref()?, &kind.predict(&row.logits))));
            let (found, all) = counts.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
            Some(100.0 * found as f64 / all.max(1) as f64)
        });
        Self { higher_is_better: true, ..gauge }
    }

    /// Seconds of one optimizer step, from batch to updated weights.
    pub fn step_time() -> Self {
        Self::new("Step time", Some("s"), 3, |step, _| step.seconds)
    }

    /// Resident memory of this process.
    pub fn memory() -> Self {
        Self::new(MEMORY, Some("MiB"), 0, |_, _| {
            super::memory::resident_bytes().map(|bytes| bytes as f64 / 1_048_576.0)
        })
    }

    fn new(
        name: &str,
        unit: Option<&'static str>,
        precision: usize,
        read: impl Fn(&StepOutput, &MetricMetadata) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            unit,
            precision,
            higher_is_better: false,
            read: Arc::new(read),
            state: NumericMetricState::new(),
        }
    }

    fn format(&self) -> FormatOptions {
        let options = FormatOptions::new(self.name.clone()).precision(self.precision);
        match self.unit {
            Some(unit) => options.unit(unit),
            None => options,
        }
    }
}

impl Metric for Gauge {
    type Input = StepOutput;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(
        &mut self,
        step: &StepOutput,
        metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let Some(value) = (self.read)(step, metadata) else {
            return Ok(SerializedEntry::not_available(self.unit));
        };
        self.state.update(value, step.rows.len().max(1));
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for Gauge {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

/// How many parts of a label are predicted exactly, and how many there are.
fn found(label: &Label, predicted: &Label) -> (usize, usize) {
    let (Label::Tags(tags), Label::Tags(predicted)) = (label, predicted) else {
        return (usize::from(label == predicted), 1);
    };
    let labeled = tags.iter().zip(predicted).filter(|(tag, _)| tag.is_some());
    labeled.fold((0, 0), |(found, all), (tag, other)| (found + usize::from(tag == other), all + 1))
}

/// The task's main score over the rows of a split so far, times 100.
#[derive(Clone)]
pub struct ScoreMetric {
    name: MetricName,
    task: Arc<Task>,
    rows: Vec<RowOutput>,
    score: f64,
}

impl ScoreMetric {
    /// The score of a task; on the dashboard under the name of its metric.
    pub fn new(task: Arc<Task>) -> Self {
        let mut name = task.metric().name().to_owned();
        name[..1].make_ascii_uppercase();
        Self { name: Arc::new(name), task, rows: Vec::new(), score: 0.0 }
    }

    fn entry(&self) -> SerializedEntry {
        SerializedEntry::new(
            format!("epoch {:.1}", self.score),
            NumericEntry::Value(self.score).serialize(),
        )
    }
}

impl Metric for ScoreMetric {
    type Input = StepOutput;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: true }.into()
    }

    fn update(
        &mut self,
        step: &StepOutput,
        metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        self.rows.extend(step.rows.iter().cloned());
        // A score over all rows so far costs more with every batch; about fifty per split are enough.
        let every = (metadata.progress.items_total / 50).max(1);
        if metadata.progress.items_processed.is_multiple_of(every)
            || metadata.progress.is_completed()
        {
            return self.compute();
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        let scores = Evaluator::scores(&*self.task, &self.rows, &Calibration::default());
        let main = scores.and_then(|scores| scores.get(self.task.metric().name())?.as_f64());
        self.score = 100.0 * main.unwrap_or_default();
        Ok(self.entry())
    }

    fn clear(&mut self) {
        self.rows.clear();
    }
}

impl Numeric for ScoreMetric {
    fn value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.score))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.score))
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Value(self.score)
    }
}
