//! Tables of what scores consist of, as text and as HTML: each label's scores, and the confusion matrix.

use std::fmt::Write as _;

use crate::task_data::score_details::{CalibrationError, ScoreDetails};
use crate::terminal;

/// A table of more classes does not fit a terminal.
const MAX_COLUMNS: usize = 12;
/// Characters of a label as the head of a column of a terminal.
const COLUMN: usize = 10;

/// The tables for a terminal.
pub fn text(details: &ScoreDetails) -> String {
    let mut text = calibration(details).map(|line| format!("  {line}\n")).unwrap_or_default();
    let longest = |names: &[&str]| names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let names: Vec<&str> = details.by_label.iter().map(|score| score.label.as_str()).collect();
    let width = longest(&names).max("label".len());
    let has_thresholds = details.by_label.iter().any(|score| score.threshold.is_some());
    let threshold = if has_thresholds { "  threshold" } else { "" };
    let _ = writeln!(text, "\n  {:<width$}  precision  recall     f1  rows{threshold}", "label");
    for score in &details.by_label {
        let [precision, recall, f1] =
            [score.precision, score.recall, score.f1].map(terminal::score);
        let name = &score.label;
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
    let names: Vec<&str> = names.into_iter().chain(details.without_label.as_deref()).collect();
    let width = width.max(longest(&names));
    let head: Vec<String> = names.iter().map(|name| name.chars().take(COLUMN).collect()).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
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
