//! An ablation as a heat map: the first omitted layer downwards, the last one rightwards.
//!
//! Houlsby et al. 2019, figure 6 (left).

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::ablation::Ablation;

/// The loss of a score, from 0 (none) to 1 (the worst of the map).
fn loss(ablation: &Ablation, score: f64) -> f64 {
    let worst = ablation.spans.iter().map(|span| span.score).fold(ablation.whole, f64::min);
    let range = ablation.whole - worst;
    if range > 0.0 { ((ablation.whole - score) / range).clamp(0.0, 1.0) } else { 0.0 }
}

/// The color of a loss: white for none, dark red for the worst.
fn color(loss: f64) -> RGBColor {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two color values, which are bytes"
    )]
    let between = |light: f64, dark: f64| (light + (dark - light) * loss).round() as u8;
    RGBColor(between(255.0, 165.0), between(255.0, 15.0), between(255.0, 21.0))
}

/// The change in points, a row for each first layer; colored for a terminal.
pub fn text(ablation: &Ablation, colored: bool) -> String {
    let Ablation { task, metric, rows, layers, whole, .. } = ablation;
    let mut text = format!(
        "{task} {metric} {:.1} on {rows} rows\n\
         change without the adapter in layers f to l:\n\n",
        100.0 * whole
    );
    // Twelve layers, BERT-base's, fit 80 columns.
    let mut line = "f \\ l".to_owned();
    for last in 0..*layers {
        let _ = write!(line, "{last:>6}");
    }
    text.push_str(&line);
    text.push('\n');
    for first in 0..*layers {
        let mut line = format!("{first:>5}");
        for last in 0..*layers {
            let Some(score) = ablation.score(first, last) else {
                line.push_str("      ");
                continue;
            };
            let change = format!("{:>+6.1}", 100.0 * (score - whole));
            if colored {
                let RGBColor(red, green, blue) = color(loss(ablation, score));
                let _ =
                    write!(line, "\u{1b}[48;2;{red};{green};{blue}m\u{1b}[30m{change}\u{1b}[0m");
            } else {
                line.push_str(&change);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let singles = (0..*layers).filter_map(|layer| Some((layer, ablation.score(layer, layer)?)));
    if let Some((layer, score)) = singles.min_by(|a, b| a.1.total_cmp(&b.1)) {
        let _ = write!(
            text,
            "\nlargest change of a single layer: {:+.1} (layer {layer})",
            100.0 * (score - whole)
        );
    }
    if let Some(score) = layers.checked_sub(1).and_then(|last| ablation.score(0, last)) {
        let _ = writeln!(text, "; of all layers: {:+.1}", 100.0 * (score - whole));
    }
    text
}

/// The heat map as SVG.
///
/// # Errors
/// A map that cannot be drawn.
pub fn svg(ablation: &Ablation) -> Result<String> {
    let mut picture = String::new();
    draw(ablation, &mut picture).map_err(|error| anyhow!("drawing the heat map: {error}"))?;
    Ok(picture)
}

fn draw(ablation: &Ablation, picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    const CELL: u32 = 48;
    const EDGE: f64 = 1.0; // space left of and above the map for the layer numbers, in cells
    let layers = ablation.layers as f64;
    let side = CELL * u32::try_from(ablation.layers + 1)? + 20;
    let area = SVGBackend::with_string(picture, (side, side + 70)).into_drawing_area();
    area.fill(&WHITE)?;
    let title =
        format!("{}: {} without the adapter in a span of layers", ablation.task, ablation.metric);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 15))
        .margin(10)
        .build_cartesian_2d(-EDGE..layers, layers + 0.6..-EDGE)?;
    chart.draw_series(ablation.spans.iter().map(|span| {
        let (x, y) = (span.last as f64, span.first as f64);
        Rectangle::new([(x, y), (x + 1.0, y + 1.0)], color(loss(ablation, span.score)).filled())
    }))?;
    chart.draw_series(ablation.spans.iter().map(|span| {
        let ink = if loss(ablation, span.score) > 0.6 { WHITE } else { BLACK };
        let centre = (span.last as f64 + 0.5, span.first as f64 + 0.5);
        Text::new(format!("{:.0}", 100.0 * span.score), centre, centred(ink))
    }))?;
    let numbers = (0..ablation.layers).flat_map(|layer| {
        let middle = layer as f64 + 0.5;
        [(middle, -0.5), (-0.5, middle)].map(|position| (layer, position))
    });
    chart.draw_series(
        numbers.map(|(layer, position)| Text::new(layer.to_string(), position, centred(BLACK))),
    )?;
    let axes = "first layer downwards, last layer rightwards".to_owned();
    chart.draw_series([Text::new(axes, (layers / 2.0 - 0.5, layers + 0.35), centred(BLACK))])?;
    area.present()?;
    Ok(())
}

fn centred(ink: RGBColor) -> TextStyle<'static> {
    TextStyle {
        font: ("sans-serif", 13).into_font(),
        color: ink.to_backend_color(),
        pos: Pos::new(HPos::Center, VPos::Center),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ablation::SpanScore;

    fn ablation() -> Ablation {
        let span = |first, last, score| SpanScore { first, last, score };
        Ablation {
            task: "cola".to_owned(),
            metric: "matthews".to_owned(),
            rows: 10,
            layers: 2,
            whole: 0.5,
            spans: vec![span(0, 0, 0.5), span(0, 1, 0.1), span(1, 1, 0.3)],
        }
    }

    #[test]
    fn the_map_as_text() {
        let map = text(&ablation(), false);
        assert!(map.contains("\n    0  +0.0 -40.0\n"), "{map}");
        assert!(map.contains("\n    1       -20.0\n"), "{map}");
        assert!(
            map.contains("largest change of a single layer: -20.0 (layer 1); of all layers: -40.0"),
            "{map}"
        );
        assert!(!map.contains('\u{1b}'));
        assert!(text(&ablation(), true).contains("\u{1b}[48;2;165;15;21m"));
    }

    #[test]
    fn the_map_of_twelve_layers_fits_eighty_columns() {
        let span = |first, last| SpanScore { first, last, score: 0.0 };
        let spans = (0..12).flat_map(|first| (first..12).map(move |last| span(first, last)));
        let ablation = Ablation {
            task: "us-economic-performance".to_owned(),
            layers: 12,
            whole: 0.999,
            spans: spans.collect(),
            ..ablation()
        };
        let longest = text(&ablation, false).lines().map(|line| line.chars().count()).max();
        assert!(longest.unwrap() <= 80, "{}", text(&ablation, false));
    }

    #[test]
    fn the_map_as_svg() {
        let picture = svg(&ablation()).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        assert_eq!(picture.matches("#A50F15").count(), 1, "one span is the worst");
    }
}
