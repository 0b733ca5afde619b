//! The paper's figures from the settings of a sweep, as SVG. A figure for which the sweep has no data is none.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use glue_data::tasks::squad;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

use super::paper;

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
    /// What it shows, and which figure of the paper shows the same.
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
    let caption = format!(
        "The validation score minus that of full fine-tuning, in points, against the trained parameters of a task; \
         percentiles over the tasks{}",
        as_in_the_paper("figures 1 and 3", tasks(settings).iter().map(String::as_str))
    );
    picture(&caption, "trained parameters of a task", "points from full fine-tuning", &series)
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
    let figure = if task == squad::NAME { "figure 5" } else { "figure 4" };
    let caption = format!(
        "Validation score of {task} against the trained parameters{}",
        as_in_the_paper(figure, [task])
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
    let caption = format!(
        "Validation score against the standard deviation of the adapters' first weights{}",
        as_in_the_paper("figure 6, right", series.iter().map(|series| series.name.as_str()))
    );
    picture(&caption, "standard deviation", "score", &series)
}

/// Figure 7: the learning rate, adapters beside full fine-tuning.
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
    picture(&caption, "learning rate", &format!("{task}, score"), &series)
}

/// What a caption ends with where the paper has a figure of the same kind and experiments on all these tasks.
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

/// What a method trains.
fn parameters(settings: &[Setting], method: &str) -> f64 {
    let mut of_method = settings.iter().filter(|setting| setting.method == method);
    of_method.find_map(|setting| setting.trained_parameters).map_or(0.0, |count| count as f64)
}

/// The best mean score of each group of settings.
fn best_by<'a, Key: Ord>(
    settings: &'a [Setting],
    belongs: impl Fn(&Setting) -> bool,
    key: impl Fn(&'a Setting) -> Key,
) -> BTreeMap<Key, f64> {
    let mut best = BTreeMap::new();
    for setting in settings.iter().filter(|setting| belongs(setting)) {
        // A setting of which every seed collapsed without a score is in the table and in no figure.
        let Some(mean) = setting.mean() else { continue };
        let place = best.entry(key(setting)).or_insert(f64::MIN);
        *place = mean.max(*place);
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

/// More marks than this overlap on the axis.
const MOST_MARKS: usize = 9;

/// The marks of a logarithmic axis: 1, 2 and 5 in every decade, or 1 and 3, or the decades, as many as there is room for.
fn marks(left: f64, right: f64) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "an exponent of ten of an f64")]
    let (first, last) = (left.log10().floor() as i32, right.log10().ceil() as i32);
    let of = |digits: &[f64]| -> Vec<f64> {
        let decades = (first..=last)
            .flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
        decades.filter(|mark| (left..=right).contains(mark)).collect()
    };
    [&[1.0, 2.0, 5.0][..], &[1.0, 3.0]]
        .into_iter()
        .map(of)
        .find(|marks| marks.len() <= MOST_MARKS)
        .unwrap_or_else(|| of(&[1.0]))
}

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
        .build_cartesian_2d(
            (left / 1.3..right * 1.3).log_scale().with_key_points(marks(left / 1.3, right * 1.3)),
            low - margin..high + margin,
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(MOST_MARKS)
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
            trained_parameters: Some(trained),
            share_of_base: Some(0.01),
            collapsed: 0,
            seconds_per_step: Some(0.1),
            seconds_per_epoch: Some(10.0),
            order: (method.to_owned(), 0),
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
    fn a_logarithmic_axis_has_marks_between_the_decades() {
        let shown = |left, right| -> Vec<String> {
            marks(left, right).into_iter().map(|mark| format!("{mark:.0e}")).collect()
        };
        assert_eq!(shown(8e-5, 1.2e-3), ["1e-4", "2e-4", "5e-4", "1e-3"]);
        assert_eq!(shown(1e3, 2e6).len(), 7, "1 and 3 of every decade");
        assert_eq!(shown(1e-8, 1e1).len(), 10, "the decades alone");
        let settings = [setting("a", "full", 1e-4, 9, 0.9), setting("a", "full", 1e-3, 9, 0.8)];
        let svg = figures(&settings).unwrap().remove(0).svg;
        assert!(svg.contains("2e-4") && svg.contains("5e-4"), "{svg}");
    }

    #[test]
    fn sizes_on_questions_are_figure_five() {
        let settings = [
            setting("squad", "houlsby-2", 1e-3, 10, 0.88),
            setting("squad", "houlsby-64", 1e-3, 80, 0.90),
        ];
        let figures = figures(&settings).unwrap();
        assert_eq!(figures.len(), 1);
        assert!(figures[0].caption.contains("figure 5 of"), "{}", figures[0].caption);
    }
}
