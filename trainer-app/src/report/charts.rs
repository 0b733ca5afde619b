//! The paper's figures from the settings of a sweep, as SVG. A figure for which the sweep has no data is none.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use glue_data::tasks::squad;
use plotters::prelude::*;

use crate::sweep::summary::Setting;

/// Points that belong together, in the order of the first coordinate.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A picture with what it shows.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it shows, and which figure of the paper it is.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

/// Every figure for which there is data.
///
/// # Errors
/// If one cannot be drawn.
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

/// Figures 1 and 3: the difference to full fine-tuning against the trained parameters; the 20th, 50th and 80th
/// percentile over the tasks.
fn against_parameters(settings: &[Setting]) -> Result<Option<Figure>> {
    let series = against_parameters_series(settings);
    let caption = "Figures 1 and 3 of the paper: the validation score minus that of full fine-tuning, in points, against \
                   the trained parameters of a task; percentiles over the tasks";
    picture(caption, "trained parameters of a task", "points from full fine-tuning", &series)
}

fn against_parameters_series(settings: &[Setting]) -> Vec<Series> {
    let full: BTreeMap<&str, f64> = best_by(settings, |s| s.method == "full", |s| s.task.as_str());
    let mut series = Vec::new();
    for (name, family) in [("adapters", "houlsby-"), ("top layers", "top-")] {
        // Of each task and number of parameters the best setting.
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

/// Figure 4, and 5 for questions: size against score, with the top layers alone and the LayerNorms alone.
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
    let number = if task == squad::NAME { 5 } else { 4 };
    let caption = format!(
        "Figure {number} of the paper: validation score of {task} against the trained parameters"
    );
    picture(&caption, "trained parameters", &format!("{task}, score"), &series)
}

/// Figure 6, right: the deviation of the first weights.
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
    let caption = "Figure 6, right, of the paper: validation score against the standard deviation of the adapters' first weights";
    picture(caption, "standard deviation", "score", &series)
}

/// Figure 7: the learning rate, adapters beside full fine-tuning.
fn learning_rates(settings: &[Setting], task: &str) -> Result<Option<Figure>> {
    let methods: BTreeSet<&str> =
        settings.iter().filter(|s| s.task == task).map(|s| s.method.as_str()).collect();
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
    let caption =
        format!("Figure 7 of the paper: validation score of {task} against the learning rate");
    picture(&caption, "learning rate", &format!("{task}, score"), &series)
}

fn tasks(settings: &[Setting]) -> Vec<String> {
    let tasks: BTreeSet<&String> = settings.iter().map(|setting| &setting.task).collect();
    tasks.into_iter().cloned().collect()
}

/// What a method trains.
fn parameters(settings: &[Setting], method: &str) -> f64 {
    let found = settings.iter().find(|setting| setting.method == method);
    found.map_or(0.0, |setting| setting.trained_parameters as f64)
}

/// The best mean score of each group of settings.
fn best_by<'a, Key: Ord>(
    settings: &'a [Setting],
    belongs: impl Fn(&Setting) -> bool,
    key: impl Fn(&'a Setting) -> Key,
) -> BTreeMap<Key, f64> {
    let mut best = BTreeMap::new();
    for setting in settings.iter().filter(|setting| belongs(setting)) {
        let place = best.entry(key(setting)).or_insert(f64::MIN);
        *place = setting.mean().max(*place);
    }
    best
}

/// A percentile, between the neighbours where it falls between two.
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

/// Lines over a logarithmic axis; nothing where there is no line.
fn picture(caption: &str, x: &str, y: &str, series: &[Series]) -> Result<Option<Figure>> {
    if series.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&mut svg, x, y, series).map_err(|error| anyhow!("drawing a figure: {error}"))?;
    Ok(Some(Figure { caption: caption.to_owned(), svg }))
}

/// Okabe and Ito 2008: whoever sees fewer colors tells these apart, too.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

fn draw(
    svg: &mut String,
    x: &str,
    y: &str,
    series: &[Series],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || series.iter().flat_map(|series| &series.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let margin = 0.08 * (high - low).max(1.0);

    let area = SVGBackend::with_string(svg, (640, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d((left / 1.3..right * 1.3).log_scale(), low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(4)
        .y_labels(6)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| format!("{value:.0e}"))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .draw()?;
    for (index, Series { name, points }) in series.iter().enumerate() {
        let colour = COLORS[index % COLORS.len()];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name.as_str())
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
            });
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(emptiest_corner(points().map(|(x, y)| {
            let across = (x.ln() - left.ln()) / (right.ln() - left.ln()).max(f64::EPSILON);
            (across, (y - low) / (high - low).max(f64::EPSILON))
        })))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Where the legend hides the fewest points, which are given as shares of the way from left to right and from bottom to
/// top.
fn emptiest_corner(points: impl Iterator<Item = (f64, f64)> + Clone) -> SeriesLabelPosition {
    let corners = [
        (1.0, 0.0, SeriesLabelPosition::LowerRight),
        (0.0, 1.0, SeriesLabelPosition::UpperLeft),
        (1.0, 1.0, SeriesLabelPosition::UpperRight),
        (0.0, 0.0, SeriesLabelPosition::LowerLeft),
    ];
    let hidden = |(across, up): (f64, f64)| {
        points.clone().filter(|(x, y)| (x - across).abs() < 0.4 && (y - up).abs() < 0.3).count()
    };
    let [first, others @ ..] = corners;
    let emptiest = others.into_iter().fold(first, |best, corner| {
        if hidden((corner.0, corner.1)) < hidden((best.0, best.1)) { corner } else { best }
    });
    emptiest.2
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
            method: method.to_owned(),
            learning_rate: rate,
            epochs: 3,
            init_std: None,
            pooling: "pooler",
            metric: "accuracy".to_owned(),
            scores: vec![score],
            test_scores: vec![],
            majority: Some(0.5),
            trained_parameters: trained,
            share_of_base: 0.01,
            collapsed: 0,
            seconds_per_step: 0.1,
            seconds_per_epoch: 10.0,
        }
    }

    #[test]
    fn the_legend_goes_where_no_points_are() {
        let corner = |points: &[(f64, f64)]| emptiest_corner(points.iter().copied());
        assert!(matches!(corner(&[(0.5, 0.5)]), SeriesLabelPosition::LowerRight));
        assert!(matches!(corner(&[(0.9, 0.1)]), SeriesLabelPosition::UpperLeft));
        assert!(matches!(corner(&[(0.9, 0.1), (0.1, 0.9)]), SeriesLabelPosition::UpperRight));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
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
    fn there_is_a_figure_where_there_is_data() {
        let settings = [
            setting("a", "full", 1e-4, 1000, 0.90),
            setting("a", "houlsby-8", 1e-3, 10, 0.88),
            setting("a", "houlsby-8", 3e-4, 10, 0.80),
            setting("a", "houlsby-64", 1e-3, 80, 0.90),
        ];
        let captions: Vec<String> =
            figures(&settings).unwrap().into_iter().map(|figure| figure.caption).collect();
        let numbers: Vec<&str> = captions.iter().map(|caption| &caption[..9]).collect();
        assert_eq!(numbers, ["Figures 1", "Figure 4 ", "Figure 7 "], "{captions:?}");
        assert!(figures(&settings[..1]).unwrap().is_empty());
    }

    #[test]
    fn sizes_on_questions_are_figure_five() {
        let settings = [
            setting("squad", "houlsby-2", 1e-3, 10, 0.88),
            setting("squad", "houlsby-64", 1e-3, 80, 0.90),
        ];
        let figures = figures(&settings).unwrap();
        assert_eq!(figures.len(), 1);
        assert!(figures[0].caption.starts_with("Figure 5 "), "{}", figures[0].caption);
    }
}
