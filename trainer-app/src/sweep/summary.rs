//! What a ledger says, task by task and method by method: the best setting by its mean validation score over seeds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::Entry;
use crate::run::RunResult;
use crate::run_config::RunConfig;

/// The seeds of one setting.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Name of the task.
    pub task: String,
    /// Method and size, and the adapted layers where they are not all: `houlsby-64`, `houlsby-64 3..`, `full`.
    pub method: String,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Epochs.
    pub epochs: usize,
    /// Deviation of the adapters' first weights, where it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    /// What the head reads.
    pub pooling: &'static str,
    /// Name of the score.
    pub metric: String,
    /// Validation scores, one a seed, in the order of the seeds.
    pub scores: Vec<f64>,
    /// Scores on the test rows, where they are labeled.
    pub test_scores: Vec<f64>,
    /// The commonest label's validation score; none where there are no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// Parameters that were trained.
    pub trained_parameters: usize,
    /// Their share of the base.
    pub share_of_base: f64,
    /// How many of the seeds collapsed.
    pub collapsed: usize,
    /// Seconds of a training step, the median over seeds.
    pub seconds_per_step: f64,
    /// Seconds of an epoch with its validation, the mean over seeds.
    pub seconds_per_epoch: f64,
}

impl Setting {
    /// Mean validation score over the seeds.
    pub fn mean(&self) -> f64 {
        mean(&self.scores)
    }

    /// Whether the method's name starts so, and it tunes every layer it may, as the paper's figures have it.
    pub fn is_whole(&self, family: &str) -> bool {
        self.method.starts_with(family) && !self.method.contains(' ')
    }

    /// Standard deviation over the seeds; none for one seed.
    pub fn deviation(&self) -> Option<f64> {
        deviation(&self.scores)
    }
}

/// Mean of some numbers; not a number of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation of a sample; none for fewer than two.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// A mean in percent, with the deviation where there is one: `26.8 ± 1.2`.
pub fn percent_with_deviation(values: &[f64]) -> String {
    match (values, deviation(values)) {
        ([], _) => String::new(),
        (values, None) => format!("{:.1}", 100.0 * mean(values)),
        (values, Some(deviation)) => {
            format!("{:.1} ± {:.1}", 100.0 * mean(values), 100.0 * deviation)
        }
    }
}

/// Every setting of a ledger, its seeds together; by task, method, rate and so on.
pub fn settings<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Setting> {
    let mut groups: BTreeMap<String, Vec<(&RunConfig, &RunResult, bool)>> = BTreeMap::new();
    for entry in entries {
        let Some(result) = entry.end.result() else { continue };
        let done = matches!(entry.end, super::ledger::CellEnd::Done { .. });
        let mut config = entry.config.clone();
        config.seed = 0;
        let key = format!("{config:?}");
        groups.entry(key).or_default().push((&entry.config, result, done));
    }
    let mut settings: Vec<Setting> = groups.into_values().map(|group| setting(&group)).collect();
    settings.sort_by(|a, b| {
        let key = |s: &Setting| (s.task.clone(), s.method.clone(), s.epochs);
        key(a).cmp(&key(b)).then(a.learning_rate.total_cmp(&b.learning_rate))
    });
    settings
}

fn setting(group: &[(&RunConfig, &RunResult, bool)]) -> Setting {
    let (config, result, _) = group[0]; // a group has the entry that made it
    let mut group = group.to_vec();
    group.sort_by_key(|(config, ..)| config.seed);
    let model = &config.model;
    let size = if model.method.has_size() { format!("-{}", model.size) } else { String::new() };
    let layers = model.adapt_layers.as_ref().map(|layers| format!(" {layers}")).unwrap_or_default();
    let test = |result: &RunResult| result.judged.get("test")?.get(&result.metric)?.as_f64();
    let mut seconds: Vec<f64> =
        group.iter().map(|(_, result, _)| result.seconds_per_step).collect();
    seconds.sort_by(f64::total_cmp);
    let epochs: Vec<f64> =
        group.iter().map(|(_, result, _)| result.seconds / result.epochs as f64).collect();
    Setting {
        task: result.task.clone(),
        method: format!("{}{size}{layers}", model.method),
        learning_rate: config.training.learning_rate,
        epochs: config.training.epochs,
        init_std: model.init_std,
        pooling: model.pooling.name(),
        metric: result.metric.clone(),
        scores: group.iter().map(|(_, result, _)| result.score).collect(),
        test_scores: group.iter().filter_map(|(_, result, _)| test(result)).collect(),
        majority: result.majority,
        trained_parameters: result.trained_parameters,
        share_of_base: result.share_of_base,
        collapsed: group.iter().filter(|(.., done)| !done).count(),
        seconds_per_step: seconds[seconds.len() / 2],
        seconds_per_epoch: mean(&epochs),
    }
}

/// Of each task and method, the setting with the best mean; the first of equals.
pub fn best(settings: &[Setting]) -> Vec<&Setting> {
    let mut best: BTreeMap<(&str, &str), &Setting> = BTreeMap::new();
    for setting in settings {
        let place = best.entry((&setting.task, &setting.method)).or_insert(setting);
        if setting.mean() > place.mean() {
            *place = setting;
        }
    }
    best.into_values().collect()
}

/// The best settings as a table.
pub fn table(settings: &[&Setting]) -> comfy_table::Table {
    use comfy_table::{CellAlignment, Table, presets};
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "task",
        "method",
        "rate",
        "epochs",
        "seeds",
        "score",
        "validation",
        "test",
        "majority",
        "trained",
        "collapsed",
    ]);
    for setting in settings {
        table.add_row([
            setting.task.clone(),
            setting.method.clone(),
            format!("{:e}", setting.learning_rate),
            setting.epochs.to_string(),
            setting.scores.len().to_string(),
            setting.metric.clone(),
            percent_with_deviation(&setting.scores),
            percent_with_deviation(&setting.test_scores),
            setting.majority.map(percent).unwrap_or_default(),
            format!("{} %", percent(setting.share_of_base)),
            if setting.collapsed == 0 { String::new() } else { setting.collapsed.to_string() },
        ]);
    }
    for column in [2, 3, 4, 6, 7, 8, 9, 10] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_a_sample() {
        assert!((mean(&[1.0, 2.0, 6.0]) - 3.0).abs() < 1e-12);
        assert!((deviation(&[1.0, 2.0, 6.0]).unwrap() - 7.0_f64.sqrt()).abs() < 1e-12);
        assert!(deviation(&[1.0]).is_none());
    }
}
