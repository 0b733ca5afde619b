//! The file that `trainer ablate` writes and `trainer report` draws.

use serde::{Deserialize, Serialize};

/// What `ablation.json` holds.
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
    /// With everything that is inserted.
    pub whole: f64,
    /// Without those of a span of layers, one value for each span.
    pub spans: Vec<SpanScore>,
}

/// The score without what is inserted in some layers.
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
    /// The score without what is inserted in `first` to `last`.
    pub fn score(&self, first: usize, last: usize) -> Option<f64> {
        let found = self.spans.iter().find(|span| (span.first, span.last) == (first, last));
        found.map(|span| span.score)
    }
}
