//! Summarizes a ledger by task and method: the setting with the best mean validation score over seeds.

use std::collections::BTreeMap;

use burn_adapters::Method;
use serde::Serialize;

use super::cell::Cell;
use super::entry::{CellEnd, Entry};
use super::origins::{FinishedCell, Origins};
use crate::run::RunResult;
use crate::run_config::RunConfig;
use crate::task_data::score_details::ScoreDetails;

/// The runs of one setting, which differ only in their seed.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Name of the task; with the beginning of its rows' fingerprint if its cells were trained on different rows.
    pub task: String,
    /// Name of the base; with its precision if that is not f32, and with the beginning of its fingerprint if several
    /// bases have the name.
    pub base: String,
    /// Method and size, and the adapted layers if they are not all, and what the loss differs in from the plain one:
    /// `houlsby-64`, `houlsby-64 3..`, `full`, `houlsby-64 class weights balanced`.
    pub method: String,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Epochs.
    pub epochs: usize,
    /// Standard deviation of the adapters' initial weights, if it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    /// The pooling.
    pub pooling: &'static str,
    /// Name of the score; empty if no cell of the task has one.
    pub metric: String,
    /// The seeds that have a score or collapsed, in order.
    pub seeds: Vec<u64>,
    /// Validation scores in the order of the seeds; a collapsed seed whose loss was not finite has none.
    pub scores: Vec<f64>,
    /// Scores on the test rows, if they are labeled.
    pub test_scores: Vec<f64>,
    /// Validation score of the majority class; none for tasks without classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// Number of trainable parameters; unknown if no seed has a score.
    #[serde(rename = "trained_parameters")]
    pub trainable_parameters: Option<usize>,
    /// Relative to the number of parameters of the base.
    pub share_of_base: Option<f64>,
    /// Number of seeds that collapsed, with or without a score.
    pub collapsed: usize,
    /// Seconds of a training step, the median over seeds.
    pub seconds_per_step: Option<f64>,
    /// Seconds of an epoch with its validation, the mean over seeds.
    pub seconds_per_epoch: Option<f64>,
    /// What the score of the best seed consists of; unknown for older results.
    #[serde(skip)]
    pub details: Option<ScoreDetails>,
    /// Sort key: method and size as a number.
    #[serde(skip)]
    pub order: (String, usize),
}

impl Setting {
    /// Mean validation score over the seeds that have one.
    pub fn mean(&self) -> Option<f64> {
        (!self.scores.is_empty()).then(|| mean(&self.scores))
    }

    /// The score by which settings are compared: the mean over all seeds, where a collapsed seed without a score counts
    /// as the majority class, which is what a collapsed model predicts.
    ///
    /// Otherwise a setting of which most seeds collapse could be chosen for its single best seed.
    pub fn expected(&self) -> Option<f64> {
        let without_score = self.seeds.len() - self.scores.len();
        let collapsed = self.majority.unwrap_or(0.0) * without_score as f64;
        (!self.scores.is_empty())
            .then(|| (self.scores.iter().sum::<f64>() + collapsed) / self.seeds.len() as f64)
    }

    /// Whether the method's name starts with `family` and no layers are left out, as in the paper's figures.
    pub fn is_whole(&self, family: &str) -> bool {
        self.method.starts_with(family) && !self.method.contains(' ')
    }
}

/// The mean of some numbers; NaN for none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample; `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// A mean in percent, with the standard deviation if there is one: `26.8 ± 1.2`.
pub fn percent_with_deviation(values: &[f64]) -> String {
    match (values, deviation(values)) {
        ([], _) => String::new(),
        (values, None) => format!("{:.1}", 100.0 * mean(values)),
        (values, Some(deviation)) => {
            format!("{:.1} ± {:.1}", 100.0 * mean(values), 100.0 * deviation)
        }
    }
}

/// All settings of a ledger, each with its seeds; sorted by base, task, method, size, epochs and rate.
pub fn settings<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Setting> {
    let finished: Vec<FinishedCell> = entries
        .filter(|entry| !matches!(entry.end, CellEnd::Failed { .. }))
        .map(|entry| FinishedCell {
            config: &entry.config,
            result: entry.end.result(),
            is_collapsed: matches!(entry.end, CellEnd::Collapsed { .. }),
        })
        .collect();
    let origins = Origins::of(&finished);
    let mut groups: BTreeMap<String, Vec<&FinishedCell>> = BTreeMap::new();
    for cell in &finished {
        let mut key = Cell::relevant_settings(cell.config);
        key.seed = 0;
        let (base, rows) = origins.of_cell(cell);
        // A base is identified by its weights, except in ledgers of version 0.1.0, which only have its name.
        if base.is_some() {
            key.model.base.clear();
        }
        groups.entry(format!("{key:?} {base:?} {rows:?}")).or_default().push(cell);
    }
    let mut settings: Vec<Setting> =
        groups.into_values().map(|group| setting(&group, &origins)).collect();
    let metrics: BTreeMap<String, String> = settings
        .iter()
        .filter(|setting| !setting.metric.is_empty())
        .map(|setting| (setting.task.clone(), setting.metric.clone()))
        .collect();
    for setting in settings.iter_mut().filter(|setting| setting.metric.is_empty()) {
        setting.metric = metrics.get(&setting.task).cloned().unwrap_or_default();
    }
    settings.sort_by(|a, b| {
        let key = |s: &Setting| {
            (s.base.clone(), s.task.clone(), s.order.clone(), s.method.clone(), s.epochs)
        };
        key(a).cmp(&key(b)).then(a.learning_rate.total_cmp(&b.learning_rate))
    });
    settings
}

fn setting(group: &[&FinishedCell], origins: &Origins) -> Setting {
    let mut group = group.to_vec();
    group.sort_by_key(|cell| cell.config.seed);
    let first = group[0]; // a group has at least one cell
    let RunConfig { model, training, .. } = first.config;
    let results: Vec<&RunResult> = group.iter().filter_map(|cell| cell.result).collect();
    let some = results.first();
    let layers = model.adapt_layers.as_ref().map(|layers| format!(" {layers}")).unwrap_or_default();
    let test = |result: &&RunResult| result.eval_scores.get("test")?.get(&result.metric)?.as_f64();
    let mut seconds: Vec<f64> = results.iter().map(|result| result.seconds_per_step).collect();
    seconds.sort_by(f64::total_cmp);
    let epochs: Vec<f64> =
        results.iter().map(|result| result.seconds / result.epochs.max(1) as f64).collect();
    Setting {
        task: origins.task(first),
        base: origins.base(first),
        method: format!("{}{layers}{}", model.label(), training.objective()),
        learning_rate: training.learning_rate,
        epochs: training.epochs,
        init_std: model.init_std,
        pooling: model.pooling.name(),
        metric: some.map(|result| result.metric.clone()).unwrap_or_default(),
        seeds: group.iter().map(|cell| cell.config.seed).collect(),
        scores: results.iter().map(|result| result.score).collect(),
        test_scores: results.iter().filter_map(test).collect(),
        majority: some.and_then(|result| result.majority),
        trainable_parameters: some.map(|result| result.trainable_parameters),
        share_of_base: some.map(|result| result.share_of_base),
        collapsed: group.iter().filter(|cell| cell.is_collapsed).count(),
        seconds_per_step: seconds.get(seconds.len() / 2).copied(),
        seconds_per_epoch: (!epochs.is_empty()).then(|| mean(&epochs)),
        details: results
            .iter()
            .max_by(|a, b| a.score.total_cmp(&b.score))
            .and_then(|result| result.details.clone()),
        order: match model.method {
            Method::TopLayers(layers) => ("top".to_owned(), layers),
            method if method.has_size() => (method.to_string(), model.size),
            method => (method.to_string(), 0),
        },
    }
}

/// For each base, task and method, the setting with the best mean; the first of equals.
pub fn best(settings: &[Setting]) -> Vec<&Setting> {
    let mut best: Vec<&Setting> = Vec::new();
    for setting in settings {
        let key = |s: &Setting| (s.base.clone(), s.task.clone(), s.method.clone());
        match best.iter_mut().find(|known| key(known) == key(setting)) {
            Some(known) if setting.expected() > known.expected() => *known = setting,
            Some(_) => {}
            None => best.push(setting),
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{done, failed, result};
    use super::*;

    fn with(entry: Entry, change: impl FnOnce(&mut RunConfig, &mut RunResult)) -> Entry {
        let Entry { end: CellEnd::Done { mut result }, mut config, .. } = entry else {
            panic!("a cell that is done")
        };
        change(&mut config, &mut result);
        let Cell { id, config } = Cell::new(config);
        Entry { cell: id, end: CellEnd::Done { result }, config, finished_at: None }
    }

    fn of(entries: &[Entry]) -> Vec<Setting> {
        settings(entries.iter())
    }

    #[test]
    fn deviations_are_those_of_a_sample() {
        assert!((mean(&[1.0, 2.0, 6.0]) - 3.0).abs() < 1e-12);
        assert!((deviation(&[1.0, 2.0, 6.0]).unwrap() - 7.0_f64.sqrt()).abs() < 1e-12);
        assert!(deviation(&[1.0]).is_none());
    }

    #[test]
    fn seeds_of_one_setting_are_together_whatever_the_device_and_wherever_the_data() {
        let here = done(0, 0.6);
        let gpu = with(done(1, 0.8), |config, _| "cuda:1".clone_into(&mut config.device));
        let elsewhere = with(done(2, 0.7), |config, _| config.task.data = Some("/scratch".into()));
        let settings = of(&[here, gpu, elsewhere]);
        assert_eq!(settings.len(), 1);
        assert_eq!(settings[0].seeds, [0, 1, 2]);
        assert_eq!(percent_with_deviation(&settings[0].scores), "70.0 ± 10.0");
    }

    #[test]
    fn bases_rows_and_precisions_that_differ_are_different_settings_and_named() {
        let on = |seed, base: &str, rows: &str| {
            with(done(seed, 0.5), |_, result| {
                result.base_fingerprint = Some(base.to_owned());
                result.rows_fingerprint = Some(rows.to_owned());
            })
        };
        let half = with(on(0, "aaaaaaaaaa", "r1"), |config, _| {
            config.model.precision = burn_bert::Precision::F16;
        });
        let settings = of(&[
            on(0, "aaaaaaaaaa", "r1"),
            on(1, "aaaaaaaaaa", "r1"),
            on(2, "bbbbbbbbbb", "r1"),
            on(3, "aaaaaaaaaa", "r2"),
            half,
        ]);
        let names: Vec<(&str, &str, usize)> =
            settings.iter().map(|s| (s.base.as_str(), s.task.as_str(), s.seeds.len())).collect();
        assert_eq!(
            names,
            [
                ("minilm [aaaaaaaa]", "helpdesk [r1]", 2),
                ("minilm [aaaaaaaa]", "helpdesk [r2]", 1),
                ("minilm [aaaaaaaa] f16", "helpdesk [r1]", 1),
                ("minilm [bbbbbbbb]", "helpdesk [r1]", 1),
            ]
        );
    }

    #[test]
    fn bases_with_equal_weights_and_other_configurations_are_different_settings() {
        let with_activation = |seed, activation: &str| {
            with(done(seed, 0.5), |_, result| {
                result.base_fingerprint = Some("aaaaaaaaaa".to_owned());
                result.base_config = Some(serde_json::json!({ "hidden_act": activation }));
                result.tokenizer_fingerprint = Some("t".to_owned());
            })
        };
        assert_eq!(of(&[with_activation(0, "gelu"), with_activation(1, "gelu")]).len(), 1);
        let settings = of(&[with_activation(0, "gelu"), with_activation(1, "relu")]);
        assert_eq!(settings.len(), 2);
        assert_ne!(settings[0].base, settings[1].base);
    }

    #[test]
    fn one_base_under_two_paths_is_one_base_and_an_older_result_belongs_to_it() {
        let at = |seed, path: &str, fingerprint: Option<&str>| {
            with(done(seed, 0.5), |config, result| {
                path.clone_into(&mut config.model.base);
                result.base_fingerprint = fingerprint.map(str::to_owned);
            })
        };
        let settings = of(&[
            at(0, "a/base", Some("1234")),
            at(1, "b/base", Some("1234")),
            at(2, "a/base", None),
        ]);
        assert_eq!(settings.len(), 1);
        assert_eq!((settings[0].base.as_str(), settings[0].seeds.len()), ("a/base", 3));
    }

    #[test]
    fn collapsed_seeds_are_counted_with_or_without_a_score() {
        let collapsed = |seed, result| Entry {
            end: CellEnd::Collapsed { why: "a test".to_owned(), result },
            ..failed(seed)
        };
        let entries =
            [done(0, 0.9), collapsed(1, Some(result(1, 0.5))), collapsed(2, None), failed(3)];
        let settings = of(&entries);
        assert_eq!(settings.len(), 1);
        let Setting { seeds, scores, collapsed: n, .. } = &settings[0];
        assert_eq!((seeds.as_slice(), scores.as_slice(), *n), (&[0, 1, 2][..], &[0.9, 0.5][..], 2));
        // 0.9, 0.5, and the majority class's 0.5.
        assert!((settings[0].expected().unwrap() - 1.9 / 3.0).abs() < 1e-12);

        let settings = of(&[collapsed(0, None), collapsed(1, None)]);
        assert_eq!((settings[0].collapsed, settings[0].mean()), (2, None), "it is not omitted");
    }

    #[test]
    fn a_setting_that_mostly_collapses_is_not_chosen_for_its_best_seed() {
        let at = |seed, score, rate| {
            with(done(seed, score), |config, _| config.training.learning_rate = rate)
        };
        let collapsed = |seed| {
            let Entry { config, .. } = at(seed, 0.0, 1e-2);
            let end = CellEnd::Collapsed { why: "a test".to_owned(), result: None };
            Entry { cell: Cell::id_of(&config), end, config, finished_at: None }
        };
        let entries =
            [at(0, 0.8, 1e-3), at(1, 0.8, 1e-3), at(0, 0.9, 1e-2), collapsed(1), collapsed(2)];
        let settings = of(&entries);
        let best = best(&settings);
        assert_eq!(best.len(), 1);
        assert!((best[0].learning_rate - 1e-3).abs() < 1e-12);
    }

    #[test]
    fn sizes_are_sorted_as_numbers() {
        let sized = |size| with(done(0, 0.5), |config, _| config.model.size = size);
        let top = |layers| {
            with(done(0, 0.5), |config, _| config.model.method = Method::TopLayers(layers))
        };
        let settings = of(&[sized(32), sized(8), top(11), sized(2), top(2)]);
        let methods: Vec<&str> = settings.iter().map(|s| s.method.as_str()).collect();
        assert_eq!(methods, ["houlsby-2", "houlsby-8", "houlsby-32", "top-2", "top-11"]);
        let best: Vec<&str> = best(&settings).iter().map(|s| s.method.as_str()).collect();
        assert_eq!(best, methods);
    }
}
