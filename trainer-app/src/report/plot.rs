//! Line charts with a logarithmic axis, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

/// The points of a line, in the order of the first coordinate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart with its caption.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The caption, with the corresponding figure of the paper.
    pub caption: String,
    /// The chart.
    pub svg: String,
}

/// A line chart with a logarithmic axis; `None` without any series.
pub(super) fn line_chart(
    caption: &str,
    x: &str,
    y: &str,
    series: &[Series],
) -> Result<Option<Figure>> {
    if series.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&mut svg, x, y, series).map_err(|error| anyhow!("drawing a figure: {error}"))?;
    Ok(Some(Figure { caption: caption.to_owned(), svg }))
}

/// Okabe and Ito 2008: distinguishable for people with color blindness.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Maximum number of ticks that do not overlap.
const MAX_TICKS: usize = 9;

/// The ticks of a logarithmic axis: 1, 2 and 5 in every decade, or 1 and 3, or the decades, as many as fit.
fn ticks(left: f64, right: f64) -> Vec<f64> {
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
        .find(|ticks| ticks.len() <= MAX_TICKS)
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
            (left / 1.3..right * 1.3).log_scale().with_key_points(ticks(left / 1.3, right * 1.3)),
            low - margin..high + margin,
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(MAX_TICKS)
        .y_labels(6)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| format!("{value:.0e}"))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .draw()?;
    for (index, Series { name, points }) in series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(name.as_str())
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
            });
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
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

/// The corner in which the legend hides the fewest points, whose coordinates are relative to the chart's size.
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
mod tests {
    use super::*;

    #[test]
    fn the_legend_is_in_the_corner_with_the_fewest_points() {
        let corner = |points: &[(f64, f64)]| emptiest_corner(points.iter().copied());
        assert!(matches!(corner(&[(0.5, 0.5)]), SeriesLabelPosition::LowerRight));
        assert!(matches!(corner(&[(0.9, 0.1)]), SeriesLabelPosition::UpperLeft));
        assert!(matches!(corner(&[(0.9, 0.1), (0.1, 0.9)]), SeriesLabelPosition::UpperRight));
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_between_the_decades() {
        let shown = |left, right| -> Vec<String> {
            ticks(left, right).into_iter().map(|mark| format!("{mark:.0e}")).collect()
        };
        assert_eq!(shown(8e-5, 1.2e-3), ["1e-4", "2e-4", "5e-4", "1e-3"]);
        assert_eq!(shown(1e3, 2e6).len(), 7, "1 and 3 of every decade");
        assert_eq!(shown(1e-8, 1e1).len(), 10, "the decades alone");
        let points = vec![(1e-4, 90.0), (1e-3, 80.0)];
        let series = [Series { name: "full".to_owned(), points }];
        let svg = line_chart("a caption", "rate", "score", &series).unwrap().unwrap().svg;
        assert!(svg.contains("2e-4") && svg.contains("5e-4"), "{svg}");
    }
}
