//! SQuAD as the data of a run: spans of paragraphs that answer questions.

use std::sync::Arc;

use anyhow::{Result, ensure};
use burn_adapters::file::native::{Calibration, TextInput};
use burn_bert::BertConfig;
use glue_data::tasks::squad::{
    self, AnswerSearch, Candidate, SpanLogits, Squad, SquadScores, WindowConfig, Windows,
};
use glue_data::{Split, TaskKind, TextEncoder};
use serde_json::{Map, Value};

use super::data_set::{PreparedData, TaskData};
use super::evaluator::{Evaluator, RowOutput};
use super::{fingerprint, rows};
use crate::run_config::RunConfig;

/// The questions of SQuAD.
#[derive(Debug)]
pub(super) struct SquadData {
    train: Squad,
    validation: Squad,
    /// SHA-256 of both, before any limit.
    fingerprint: String,
}

impl SquadData {
    /// Reads the questions of a run.
    ///
    /// # Errors
    /// If a file is missing or malformed.
    pub(super) fn read(config: &RunConfig) -> Result<Self> {
        let data = config.task.data.as_deref();
        let mut train = Squad::read_split(data, Split::Train)?;
        let validation = Squad::read_split(data, Split::Validation)?;
        let fingerprint = fingerprint::of_questions([&train, &validation]);
        if let Some(limit) = config.task.limit {
            let kept = rows::sample(train.questions.len(), limit, config.seed);
            train.questions = kept.into_iter().map(|row| train.questions[row].clone()).collect();
        }
        Ok(Self { train, validation, fingerprint })
    }
}

impl TaskData for SquadData {
    fn describe(&self) -> String {
        format!(
            "task squad: questions {} train ({} answers misplaced), {} validation; metric {}",
            self.train.questions.len(),
            self.train.misplaced_answers(),
            self.validation.questions.len(),
            squad::METRICS[0]
        )
    }

    fn kind(&self) -> TaskKind {
        TaskKind::Span
    }

    fn input(&self) -> Option<TextInput> {
        None
    }

    fn fingerprint(&self) -> Option<&str> {
        Some(&self.fingerprint)
    }

    fn prepare(
        &self,
        encoder: &TextEncoder,
        bert: &BertConfig,
        max_length: usize,
    ) -> Result<PreparedData> {
        let config = WindowConfig::of_length(max_length);
        let train = Windows::cut(&self.train, encoder, &config)?.training_rows();
        ensure!(
            !train.rows().is_empty(),
            "no training question has an answer at its published position"
        );
        let questions = self.validation.clone();
        let windows = Windows::cut(&questions, encoder, &config)?;
        let validation = windows.rows().clone();
        rows::check(bert, &train)?;
        rows::check(bert, &validation)?;
        let evaluator = Arc::new(SquadEvaluator { questions, windows });
        Ok(PreparedData { train, validation, evaluator })
    }
}

/// Scores the answers to questions, each of which has several rows.
#[derive(Debug)]
struct SquadEvaluator {
    questions: Squad,
    /// The rows of the questions.
    windows: Windows,
}

impl SquadEvaluator {
    /// The best answers to each question.
    fn answers(&self, rows: &[RowOutput]) -> Vec<Vec<Candidate>> {
        let logits = rows.iter().map(|row| {
            let (start, end) = row.logits.split_at(row.logits.len() / 2);
            SpanLogits { start: start.to_vec(), end: end.to_vec() }
        });
        AnswerSearch::default().search(&self.questions, &self.windows, &logits.collect::<Vec<_>>())
    }
}

impl Evaluator for SquadEvaluator {
    fn metric(&self) -> &'static str {
        squad::METRICS[0]
    }

    fn scores(&self, rows: &[RowOutput], _calibration: &Calibration) -> Option<Map<String, Value>> {
        let predictions = squad::predictions(&self.questions, &self.answers(rows));
        let SquadScores { exact_match, f1, .. } = squad::score(&self.questions, &predictions);
        // Shares and not percentages, as every other score of this program.
        let scores = squad::METRICS.into_iter().zip([f1 / 100.0, exact_match / 100.0]);
        Some(scores.map(|(name, share)| (name.to_owned(), Value::from(share))).collect())
    }

    fn has_prediction_files(&self) -> bool {
        true
    }

    fn prediction_files(&self, rows: &[RowOutput]) -> Vec<(&'static str, String)> {
        let answers = self.answers(rows);
        let predictions = squad::predictions(&self.questions, &answers);
        vec![
            ("predictions.json", squad::predictions_json(&predictions)),
            ("nbest_predictions.json", squad::n_best_json(&self.questions, &answers)),
        ]
    }

    fn reference_texts(&self) -> Vec<&str> {
        let questions = self.questions.questions.iter();
        let texts = questions.flat_map(|question| {
            let answers = question.answers.iter().map(|answer| answer.text.as_str());
            std::iter::once(question.id.as_str()).chain(answers)
        });
        texts.collect()
    }
}
