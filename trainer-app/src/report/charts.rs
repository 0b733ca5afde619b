//! The paper's figures from the settings of a sweep, as SVG; figures without data are omitted.

use std::collections::BTreeMap;

use anyhow::Result;
use glue_data::tasks::squad;

use super::paper;
use super::plot::{Figure, Series, line_chart};

use crate::sweep::summary::Setting;

/// All figures for which there is data.
///
/// # Errors
/// A figure that cannot be drawn.
pub fn figures(settings: &[Setting]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    figures.extend(against_parameters(settings)?);
    for task in tasks(settings) {
        figures.extend(sizes_of_task(settings, &task)?);
    }
    figures.extend(init_scale(settings)?);
    for task in tasks(settings) {
        figures.extend(learning_rates(settings, &task)?);
    }
    Ok(figures)
}

/// Figures 1 and 3: the difference from full fine-tuning against the trainable parameters; the 20th, 50th and 80th
/// percentile over the tasks.
fn against_parameters(settings: &[Setting]) -> Result<Option<Figure>> {
    let series = against_parameters_series(settings);
    let caption = format!(
        "Validation score minus that of full fine-tuning, in points, against the trainable parameters per task; \
         percentiles over the tasks{}",
        as_in_the_paper("figures 1 and 3", tasks(settings).iter().map(String::as_str))
    );
    line_chart(
        &caption,
        "trainable parameters per task",
        "difference from full fine-tuning",
        &series,
    )
}

fn against_parameters_series(settings: &[Setting]) -> Vec<Series> {
    let full: BTreeMap<&str, f64> = best_by(settings, |s| s.method == "full", |s| s.task.as_str());
    let mut series = Vec::new();
    for (name, family) in [("adapters", "houlsby-"), ("top layers", "top-")] {
        // The best setting of each task and number of parameters.
        let scores =
            best_by(settings, |s| s.is_whole(family), |s| (s.method.as_str(), s.task.as_str()));
        let mut by_method: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for ((method, task), score) in scores {
            if let Some(full) = full.get(task) {
                by_method.entry(method).or_default().push(100.0 * (score - full));
            }
        }
        for percentile in [20, 50, 80] {
            let mut points: Vec<(f64, f64)> = by_method
                .iter_mut()
                .map(|(method, differences)| {
                    (parameters(settings, method), quantile(differences, percentile))
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            if points.len() > 1 {
                series.push(Series { name: format!("{name}, {percentile}th percentile"), points });
            }
        }
    }
    series
}

/// Figure 4, or 5 for question answering: score against size, also for top layers and LayerNorms only.
fn sizes_of_task(settings: &[Setting], task: &str) -> Result<Option<Figure>> {
    let mut series = Vec::new();
    let families = [
        ("adapters", "houlsby-"),
        ("top layers", "top-"),
        ("LayerNorms", "layer-norm"),
        ("full", "full"),
    ];
    for (name, family) in families {
        let here = |s: &Setting| s.task == task && s.init_std.is_none() && s.is_whole(family);
        let scores = best_by(settings, here, |s| s.method.as_str());
        let mut points: Vec<(f64, f64)> = scores
            .into_iter()
            .map(|(method, score)| (parameters(settings, method), 100.0 * score))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !points.is_empty() {
            series.push(Series { name: name.to_owned(), points });
        }
    }
    if !series.iter().any(|series| series.points.len() > 1) {
        return Ok(None);
    }
    let figure = if task == squad::NAME { "figure 5" } else { "figure 4" };
    let caption = format!(
        "Validation score of {task} against the trainable parameters{}",
        as_in_the_paper(figure, [task])
    );
    line_chart(&caption, "trainable parameters", &format!("{task}, score"), &series)
}

/// Figure 6, right: the standard deviation of the initial weights.
fn init_scale(settings: &[Setting]) -> Result<Option<Figure>> {
    let series: Vec<Series> = tasks(settings)
        .into_iter()
        .filter_map(|task| {
            let points: Vec<(f64, f64)> = best_by(
                settings,
                |s| s.task == task && s.init_std.is_some(),
                |s| s.init_std.map(f64::to_bits),
            )
            .into_iter()
            .filter_map(|(std, score)| Some((f64::from_bits(std?), 100.0 * score)))
            .collect();
            (points.len() > 1).then_some(Series { name: task, points })
        })
        .collect();
    let caption = format!(
        "Validation score against the standard deviation of the adapters' initial weights{}",
        as_in_the_paper("figure 6, right", series.iter().map(|series| series.name.as_str()))
    );
    line_chart(&caption, "standard deviation", "score", &series)
}

/// Figure 7: the learning rate, for adapters and full fine-tuning.
fn learning_rates(settings: &[Setting], task: &str) -> Result<Option<Figure>> {
    // In the order of the settings, which sorts sizes as numbers.
    let mut methods: Vec<&str> = Vec::new();
    for setting in settings.iter().filter(|setting| setting.task == task) {
        if !methods.contains(&setting.method.as_str()) {
            methods.push(&setting.method);
        }
    }
    let series: Vec<Series> = methods
        .into_iter()
        .filter_map(|method| {
            let here = |s: &Setting| s.task == task && s.method == method && s.init_std.is_none();
            let points: Vec<(f64, f64)> = best_by(settings, here, |s| s.learning_rate.to_bits())
                .into_iter()
                .map(|(rate, score)| (f64::from_bits(rate), 100.0 * score))
                .collect();
            (points.len() > 1).then(|| Series { name: method.to_owned(), points })
        })
        .collect();
    let caption = format!(
        "Validation score of {task} against the learning rate{}",
        as_in_the_paper("figure 7", [task])
    );
    line_chart(&caption, "learning rate", &format!("{task}, score"), &series)
}

/// The end of a caption if the paper has a figure of the same kind and experiments on all these tasks.
pub(crate) fn as_in_the_paper<'a>(
    figure: &str,
    tasks: impl IntoIterator<Item = &'a str>,
) -> String {
    let has = |task: &str| task == squad::NAME || paper::of(task).is_some();
    let all = tasks.into_iter().all(has);
    if all { format!(" (as in {figure} of the paper)") } else { String::new() }
}

fn tasks(settings: &[Setting]) -> Vec<String> {
    let mut tasks: Vec<String> = settings.iter().map(|setting| setting.task.clone()).collect();
    tasks.sort();
    tasks.dedup();
    tasks
}

/// The number of trainable parameters of a method.
fn parameters(settings: &[Setting], method: &str) -> f64 {
    let mut of_method = settings.iter().filter(|setting| setting.method == method);
    of_method.find_map(|setting| setting.trainable_parameters).map_or(0.0, |count| count as f64)
}

/// The best mean score of each group of settings.
fn best_by<'a, Key: Ord>(
    settings: &'a [Setting],
    belongs: impl Fn(&Setting) -> bool,
    key: impl Fn(&'a Setting) -> Key,
) -> BTreeMap<Key, f64> {
    let mut best = BTreeMap::new();
    for setting in settings.iter().filter(|setting| belongs(setting)) {
        // A setting whose seeds all collapsed without a score is only in the table.
        let Some(mean) = setting.mean() else { continue };
        let place = best.entry(key(setting)).or_insert(f64::MIN);
        *place = mean.max(*place);
    }
    best
}

/// A percentile, interpolated between neighbours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list of a few tasks"
)]
fn quantile(values: &mut [f64], percentile: u32) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() - 1) as f64 * f64::from(percentile) / 100.0;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(values.len() - 1);
    values[below] + share * (values[above] - values[below])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn setting(
        task: &str,
        method: &str,
        rate: f64,
        trained: usize,
        score: f64,
    ) -> Setting {
        Setting {
            task: task.to_owned(),
            base: "minilm".to_owned(),
            method: method.to_owned(),
            learning_rate: rate,
            epochs: 3,
            init_std: None,
            pooling: "pooler",
            metric: "accuracy".to_owned(),
            seeds: vec![0],
            scores: vec![score],
            test_scores: vec![],
            majority: Some(0.5),
            trainable_parameters: Some(trained),
            share_of_base: Some(0.01),
            collapsed: 0,
            seconds_per_step: Some(0.1),
            seconds_per_epoch: Some(10.0),
            details: None,
            order: (method.to_owned(), 0),
        }
    }

    #[test]
    fn quantiles_are_interpolated() {
        assert!((quantile(&mut [3.0, 1.0, 2.0], 50) - 2.0).abs() < 1e-12);
        assert!((quantile(&mut [0.0, 10.0], 20) - 2.0).abs() < 1e-12);
        assert!((quantile(&mut [4.0], 80) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn figure_one_is_the_difference_to_full_fine_tuning() {
        let settings = [
            setting("a", "full", 1e-4, 1000, 0.90),
            setting("a", "houlsby-8", 1e-3, 10, 0.88),
            setting("a", "houlsby-8", 3e-4, 10, 0.80),
            setting("a", "houlsby-64", 1e-3, 80, 0.90),
        ];
        let series = against_parameters_series(&settings);
        assert_eq!(series.len(), 3);
        let median = &series[1].points;
        assert!(
            (median[0].0 - 10.0).abs() < 1e-9 && (median[0].1 + 2.0).abs() < 1e-9,
            "{median:?}"
        );
        assert!((median[1].0 - 80.0).abs() < 1e-9 && median[1].1.abs() < 1e-9, "{median:?}");
    }

    #[test]
    fn there_is_a_figure_if_there_is_data() {
        let of = |task| {
            [
                setting(task, "full", 1e-4, 1000, 0.90),
                setting(task, "houlsby-8", 1e-3, 10, 0.88),
                setting(task, "houlsby-8", 3e-4, 10, 0.80),
                setting(task, "houlsby-64", 1e-3, 80, 0.90),
            ]
        };
        let captions = |task| -> Vec<String> {
            figures(&of(task)).unwrap().into_iter().map(|figure| figure.caption).collect()
        };
        let ends = ["(as in figures 1 and 3 of", "(as in figure 4 of", "(as in figure 7 of"];
        let found = captions("cola");
        assert_eq!(found.len(), ends.len());
        for (caption, end) in found.iter().zip(ends) {
            assert!(caption.contains(end), "{caption}");
        }
        let private = captions("mails");
        assert_eq!(private.len(), 3);
        assert!(private.iter().all(|caption| !caption.contains("paper")), "{private:?}");
        assert!(figures(&of("cola")[..1]).unwrap().is_empty());
    }

    #[test]
    fn sizes_on_question_answering_are_figure_five() {
        let settings = [
            setting("squad", "houlsby-2", 1e-3, 10, 0.88),
            setting("squad", "houlsby-64", 1e-3, 80, 0.90),
        ];
        let figures = figures(&settings).unwrap();
        assert_eq!(figures.len(), 1);
        assert!(figures[0].caption.contains("figure 5 of"), "{}", figures[0].caption);
    }
}
