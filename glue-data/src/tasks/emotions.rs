//! GoEmotions: comments with any number of 27 emotions, or labeled as neutral.
//!
//! Demszky et al. 2020, "GoEmotions: A Dataset of Fine-Grained Emotions"; files and split of
//! <https://github.com/google-research/google-research/tree/master/goemotions>.

use crate::metric::Metric;
use crate::published_task::Source;
use crate::rows::Split;
use crate::task_spec::{Part, TaskSpec};

const fn part(split: Split, file: &'static str, rows: usize) -> Part {
    Part {
        split,
        file,
        embedded: None,
        header: false,
        columns: &["text", "labels", "id"],
        text: "text",
        text2: None,
        label: Some("labels"),
        label_numbers: true,
        rows,
        skip_short_rows: false,
        submission: None,
        corpus: None,
    }
}

/// The task; its main metric is that of the paper's table 4.
pub static GO_EMOTIONS: TaskSpec = TaskSpec {
    name: "goemotions",
    title: "Which emotions does the comment express?",
    directory: "goemotions",
    classes: &[
        "admiration",
        "amusement",
        "anger",
        "annoyance",
        "approval",
        "caring",
        "confusion",
        "curiosity",
        "desire",
        "disappointment",
        "disapproval",
        "disgust",
        "embarrassment",
        "excitement",
        "fear",
        "gratitude",
        "grief",
        "joy",
        "love",
        "nervousness",
        "optimism",
        "pride",
        "realization",
        "relief",
        "remorse",
        "sadness",
        "surprise",
        "neutral",
    ],
    metrics: &[Metric::MacroF1, Metric::MicroF1, Metric::SubsetAccuracy],
    parts: &[
        part(Split::Train, "train.tsv", 43_410),
        part(Split::Validation, "dev.tsv", 5426),
        part(Split::Test, "test.tsv", 5427),
    ],
    source: Some(Source::Files {
        url: "https://raw.githubusercontent.com/google-research/google-research/master/goemotions/data",
    }),
};
