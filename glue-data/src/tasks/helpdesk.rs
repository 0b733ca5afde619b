//! The embedded task, which needs no download: which team should handle a support request.

use crate::metric::Metric;
use crate::rows::Split;
use crate::task_spec::{Part, TaskSpec};

const COLUMNS: &[&str] = &["text", "team"];

const fn part(split: Split, file: &'static str, embedded: &'static str, rows: usize) -> Part {
    Part {
        split,
        file,
        embedded: Some(embedded),
        header: true,
        columns: COLUMNS,
        text: "text",
        text2: None,
        label: Some("team"),
        label_numbers: false,
        rows,
        skip_short_rows: false,
        submission: None,
        corpus: None,
    }
}

/// Short support requests and six teams; see `helpdesk/README.md`.
pub static HELPDESK: TaskSpec = TaskSpec {
    name: "helpdesk",
    title: "Which team should get this support request?",
    directory: "helpdesk",
    classes: &["accounts", "facilities", "hardware", "network", "payroll", "software"],
    metrics: &[Metric::Accuracy, Metric::MacroF1],
    parts: &[
        part(Split::Train, "helpdesk/train.tsv", include_str!("helpdesk/train.tsv"), 612),
        part(
            Split::Validation,
            "helpdesk/validation.tsv",
            include_str!("helpdesk/validation.tsv"),
            150,
        ),
        part(Split::Test, "helpdesk/test.tsv", include_str!("helpdesk/test.tsv"), 150),
    ],
    source: None,
};
