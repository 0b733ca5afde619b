//! The best settings of a sweep as a table for a terminal.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::summary::{Setting, percent_with_deviation};
use crate::terminal;

/// The width without a terminal.
pub const WIDTH: u16 = 80;

/// A column: its heading, whether it is right-aligned, and its content for a setting.
type Column = (&'static str, bool, fn(&Setting) -> String);

const COLUMNS: [Column; 10] = [
    ("task", false, |setting| setting.task.clone()),
    ("method", false, |setting| setting.method.clone()),
    ("rate", true, |setting| format!("{:e}", setting.learning_rate)),
    ("epochs", true, |setting| setting.epochs.to_string()),
    ("seeds", true, |setting| setting.seeds.len().to_string()),
    ("collapsed", true, |setting| match setting.collapsed {
        0 => String::new(),
        collapsed => collapsed.to_string(),
    }),
    ("validation", true, |setting| percent_with_deviation(&setting.scores)),
    ("test", true, |setting| percent_with_deviation(&setting.test_scores)),
    ("majority", true, |setting| setting.majority.map(terminal::score).unwrap_or_default()),
    ("of base", true, |setting| {
        setting
            .share_of_base
            .map(|share| format!("{} %", terminal::score(share)))
            .unwrap_or_default()
    }),
];

/// The table without empty columns in at most `width` columns of a terminal, followed by the names of the scores.
///
/// Long cells are wrapped, the words of headings are not: a terminal narrower than those wraps the lines itself.
pub fn table(settings: &[&Setting], width: u16) -> String {
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(.., cell)| settings.iter().any(|setting| !cell(setting).is_empty()))
        .collect();
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(columns.iter().map(|(heading, ..)| *heading));
    for setting in settings {
        table.add_row(columns.iter().map(|(.., cell)| cell(setting)));
    }
    for ((heading, is_right, _), column) in columns.iter().zip(table.column_iter_mut()) {
        column.set_padding((0, 1));
        let longest_word = heading.split(' ').map(str::len).max().unwrap_or_default();
        // With the padding.
        let width = u16::try_from(longest_word + 1).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        if *is_right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let metrics: BTreeMap<&str, Vec<&str>> = settings.iter().fold(BTreeMap::new(), |mut all, s| {
        let tasks: &mut Vec<&str> = all.entry(&s.metric).or_default();
        if !tasks.contains(&s.task.as_str()) {
            tasks.push(&s.task);
        }
        all
    });
    let metrics: Vec<String> = metrics
        .into_iter()
        .filter(|(metric, _)| !metric.is_empty())
        .map(|(metric, tasks)| format!("{metric} ({})", tasks.join(", ")))
        .collect();
    let metrics = format!("scores in percent: {}", metrics.join("; "));
    format!("{table}\n{}", wrapped(&metrics, width.into()))
}

/// Wraps a text to the table's width.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::charts::tests::setting;

    #[test]
    fn the_table_fits_eighty_columns_and_shows_what_collapsed() {
        let narrow = Setting {
            scores: vec![0.861, 0.872, 0.853],
            seeds: vec![0, 1, 2],
            collapsed: 1,
            ..setting("stsb", "houlsby-64", 3e-4, 80, 0.9)
        };
        let wide = Setting {
            test_scores: vec![0.771, 0.782],
            ..setting("us-economic-performance", "scaled-parallel-256 3..", 3e-4, 80, 0.9)
        };
        for settings in [vec![&narrow], vec![&narrow, &wide], vec![&wide; 3]] {
            let table = table(&settings, WIDTH);
            let longest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= 80, "{longest}\n{table}");
        }
        // A heading is not broken, and a wider terminal has room for more on a line.
        for (heading, ..) in COLUMNS.iter().filter(|(heading, ..)| *heading != "of base") {
            assert!(table(&[&narrow, &wide], WIDTH).contains(heading), "{heading}");
        }
        let roomy = table(&[&narrow, &wide], 140);
        assert_eq!(
            roomy.lines().filter(|line| line.contains("scaled-parallel-256 3..")).count(),
            1
        );
        let shown = table(&[&narrow], WIDTH);
        assert!(shown.contains("86.2 ± 1.0"), "{shown}");
        assert!(
            shown.contains("collapsed") && shown.contains("scores in percent: accuracy (stsb)")
        );
        assert!(!shown.contains("test"), "an empty column is left out\n{shown}");
        // What everybody has stays on one line each.
        assert_eq!(shown.lines().filter(|line| line.contains("stsb")).count(), 2, "{shown}");
    }
}
