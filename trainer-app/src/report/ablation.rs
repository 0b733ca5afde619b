//! The file that `trainer ablate` writes and `trainer report` reads.

use serde::{Deserialize, Serialize};

/// The content of `ablation.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ablation {
    /// Name of the task.
    pub task: String,
    /// Name of the score.
    pub metric: String,
    /// Number of rows that were scored.
    pub rows: usize,
    /// Number of layers.
    pub layers: usize,
    /// Score with all inserted modules.
    pub whole: f64,
    /// Scores without the modules of each span of layers.
    pub spans: Vec<SpanScore>,
}

/// The score without the modules of a span of layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpanScore {
    /// The first of the layers, counted from 0.
    pub first: usize,
    /// The last of them.
    pub last: usize,
    /// The score.
    pub score: f64,
}

impl Ablation {
    /// The score without the modules of the layers `first` to `last`.
    pub fn score(&self, first: usize, last: usize) -> Option<f64> {
        let found = self.spans.iter().find(|span| (span.first, span.last) == (first, last));
        found.map(|span| span.score)
    }
}
