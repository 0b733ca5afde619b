//! Tables of what scores consist of, as text and as HTML: each label's scores, and the confusion matrix.

use std::fmt::Write as _;

use super::page::escaped;
use crate::task_data::score_details::{CalibrationError, ScoreDetails};
use crate::terminal;
use crate::terminal::output::visible;

/// A table of more classes does not fit a terminal.
const MAX_COLUMNS: usize = 12;
/// A confusion matrix of more classes does not fit a page.
const MAX_CELLS: usize = 30;
/// Characters of a label as the head of a column of a terminal.
const COLUMN: usize = 10;

/// The tables for a terminal.
pub fn text(details: &ScoreDetails) -> String {
    let mut text = calibration(details).map(|line| format!("  {line}\n")).unwrap_or_default();
    let longest =
        |names: &[String]| names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // A name is one field of one line.
    let in_line = |name: &str| visible(name).replace(['\n', '\t'], " ");
    let names: Vec<String> = details.by_label.iter().map(|score| in_line(&score.label)).collect();
    let width = longest(&names).max("label".len());
    let has_thresholds = details.by_label.iter().any(|score| score.threshold.is_some());
    let threshold = if has_thresholds { "  threshold" } else { "" };
    let _ = writeln!(text, "\n  {:<width$}  precision  recall     f1  rows{threshold}", "label");
    for (score, name) in details.by_label.iter().zip(&names) {
        let [precision, recall, f1] =
            [score.precision, score.recall, score.f1].map(terminal::score);
        let _ = write!(
            text,
            "  {name:<width$}  {precision:>9}  {recall:>6}  {f1:>5}  {:>4}",
            score.support
        );
        if let Some(threshold) = score.threshold {
            let _ = write!(text, "  {threshold:>9.3}");
        }
        text.push('\n');
    }
    if details.confusion.is_empty() || names.len() > MAX_COLUMNS {
        return text;
    }
    let names: Vec<String> = names.into_iter().chain(details.without_label.clone()).collect();
    let width = width.max(longest(&names));
    let head: Vec<String> = names.iter().map(|name| name.chars().take(COLUMN).collect()).collect();
    let column = longest(&head).max(4);
    let _ = write!(text, "\n  {:<width$}  predicted\n  {:<width$}", "", "label");
    for name in head {
        let _ = write!(text, "  {name:>column$}");
    }
    text.push('\n');
    for (name, counts) in names.iter().zip(&details.confusion) {
        let _ = write!(text, "  {name:<width$}");
        for count in counts {
            let _ = write!(text, "  {count:>column$}");
        }
        text.push('\n');
    }
    text
}

/// The tables of a report.
pub fn html(details: &ScoreDetails) -> String {
    let mut html = calibration(details)
        .map(|line| format!("<p>{}.</p>\n", capitalized(&line)))
        .unwrap_or_default();
    html.push_str(
        "<table><tr><th>label</th><th>precision</th><th>recall</th><th>F1</th><th>rows</th></tr>\n",
    );
    for score in &details.by_label {
        let [precision, recall, f1] =
            [score.precision, score.recall, score.f1].map(terminal::score);
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{precision}</td><td>{recall}</td><td>{f1}</td><td>{}</td></tr>",
            escaped(&score.label),
            score.support
        );
    }
    html.push_str("</table>\n");
    if details.confusion.is_empty() || details.by_label.len() > MAX_CELLS {
        return html;
    }
    html.push_str("<table><tr><th>label, predicted as</th>");
    let names = details.by_label.iter().map(|score| &score.label).chain(&details.without_label);
    for name in names.clone() {
        let _ = write!(html, "<th>{}</th>", escaped(name));
    }
    html.push_str("</tr>\n");
    for (name, counts) in names.zip(&details.confusion) {
        let cells: String = counts.iter().map(|count| format!("<td>{count}</td>")).collect();
        let _ = writeln!(html, "<tr><td>{}</td>{cells}</tr>", escaped(name));
    }
    html.push_str("</table>\n");
    html
}

fn capitalized(line: &str) -> String {
    let mut line = line.to_owned();
    line[..1].make_ascii_uppercase();
    line
}

/// The expected calibration error in words.
fn calibration(details: &ScoreDetails) -> Option<String> {
    let CalibrationError { temperature, error, error_without } = details.calibration?;
    let score = terminal::score;
    Some(match (temperature, error_without) {
        (Some(temperature), Some(before)) => format!(
            "expected calibration error {} with temperature {temperature:.3}, {} without",
            score(error),
            score(before)
        ),
        _ => format!("expected calibration error {}", score(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_data::score_details::NamedScore;

    fn details() -> ScoreDetails {
        let score = |label: &str, threshold| NamedScore {
            label: label.to_owned(),
            precision: 0.5,
            recall: 1.0,
            f1: 2.0 / 3.0,
            support: 4,
            threshold,
        };
        ScoreDetails {
            by_label: vec![score("<b>", None), score("a\nlong label", Some(0.25))],
            confusion: vec![vec![4, 0], vec![1, 3]],
            without_label: None,
            calibration: Some(CalibrationError {
                temperature: Some(1.5),
                error: 0.02,
                error_without: Some(0.1),
            }),
        }
    }

    #[test]
    fn a_terminal_gets_a_line_for_each_label() {
        let text = text(&details());
        assert!(
            text.starts_with(
                "  expected calibration error 2.0 with temperature 1.500, 10.0 without"
            )
        );
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].ends_with("precision  recall     f1  rows  threshold"), "{text}");
        assert!(lines[4].contains("50.0   100.0   66.7     4      0.250"), "{text}");
        assert_eq!(lines.len(), 10, "{text}");
    }

    #[test]
    fn a_page_gets_tables_without_markup_of_labels() {
        let html = html(&details());
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("<td>1</td><td>3</td>"), "{html}");
        assert!(html.starts_with("<p>Expected calibration error 2.0"), "{html}");
    }
}
