//! SQuAD v1.1: find the span of a paragraph that answers a question.
//!
//! Rajpurkar et al. 2016, <https://arxiv.org/abs/1606.05250>; table 4 of the adapters' paper.
//! The published JSON is read into [`Squad`], cut into rows of a BERT's length ([`Windows`]), answered by
//! [`AnswerSearch`] and scored by [`score`]. SQuAD is not in the table of tasks, because a question is several rows and
//! its answer is a text.

mod answers;
mod questions;
mod score;
mod windows;

#[cfg(test)]
mod samples;

pub use answers::{
    AnswerSearch, Candidate, SpanLogits, n_best_json, predictions, predictions_json,
};
pub use questions::{Answer, FILES, NAME, Paragraph, Question, Squad};
pub use score::{Predictions, SquadScores, normalize, parse_predictions, read_predictions, score};
pub use windows::{Window, WindowConfig, Windows};

/// The question that the task asks.
pub const TITLE: &str = "Which words of the paragraph answer the question?";

/// The names of the metrics; the first is the main one.
pub const METRICS: [&str; 2] = ["f1", "exact-match"];

/// How to get the files.
pub const BY_HAND: &str = "save train-v1.1.json and dev-v1.1.json of \
                           https://rajpurkar.github.io/SQuAD-explorer/dataset/ into squad";
