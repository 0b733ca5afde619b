//! How rows that went through a model are judged: by their labels, or by the answers they add up to.

use glue_data::tasks::squad::{
    AnswerSearch, Candidate, SpanLogits, Squad, SquadScores, Windows, answers, score,
};
use glue_data::{Prediction, Task};
use serde_json::{Map, Value};

use crate::learner::step::ScoredRow;
use crate::task_data::rows;

/// How a run's validation rows are judged.
#[derive(Debug)]
pub enum Evaluator {
    /// Each row by its label.
    Labels(Task),
    /// The rows of a question together, by its published answers.
    Answers(Box<SquadEvaluator>),
}

impl Evaluator {
    /// Name of the main score.
    pub fn metric(&self) -> &'static str {
        match self {
            Self::Labels(task) => task.metric().name(),
            Self::Answers(_) => "f1",
        }
    }

    /// The scores of all validation rows, in their order; none when no label is known.
    pub fn scores(&self, rows: &[ScoredRow]) -> Option<Map<String, Value>> {
        match self {
            Self::Labels(task) => rows::scores(task, rows.iter()),
            Self::Answers(evaluator) => {
                let answers = evaluator.answers(rows);
                let SquadScores { exact_match, f1, .. } = score::score(
                    &evaluator.squad,
                    &answers::predictions(&evaluator.squad, &answers),
                );
                // Shares, as every other score of this program.
                let scores = [("f1", f1 / 100.0), ("exact-match", exact_match / 100.0)];
                Some(
                    scores
                        .map(|(name, share)| (name.to_owned(), Value::from(share)))
                        .into_iter()
                        .collect(),
                )
            }
        }
    }

    /// Whether every row got the same class; answers that are no classes are never the same.
    pub fn predicts_single_class(&self, rows: &[ScoredRow]) -> bool {
        let Self::Labels(task) = self else { return false };
        let mut classes = rows.iter().map(|row| match task.labels.predict(&row.logits) {
            Prediction::Class(class) => Some(class),
            Prediction::Score(_) => None,
        });
        let first = classes.next().flatten();
        first.is_some() && classes.all(|class| class == first)
    }
}

/// Questions, and their rows.
#[derive(Debug)]
pub struct SquadEvaluator {
    /// The questions.
    pub squad: Squad,
    /// Their rows.
    pub windows: Windows,
}

impl SquadEvaluator {
    /// The best answers to each question.
    ///
    /// # Panics
    /// If the rows are not those of the windows.
    pub fn answers(&self, rows: &[ScoredRow]) -> Vec<Vec<Candidate>> {
        let logits = rows.iter().map(|row| {
            let (start, end) = row.logits.split_at(row.logits.len() / 2);
            SpanLogits { start: start.to_vec(), end: end.to_vec() }
        });
        AnswerSearch::default().search(&self.squad, &self.windows, &logits.collect::<Vec<_>>())
    }
}
