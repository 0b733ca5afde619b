//! What a run ends with: the scores of the kept adapter, and the baselines beside them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn_adapters::TrainableTable;
use burn_adapters::file::native;
use glue_data::tasks::squad::answers;
use glue_data::{Prediction, Task, baseline};
use serde_json::{Map, Value};

use super::{Run, RunResult};
use crate::artifacts::{RunDirectory, write_atomically};
use crate::devices;
use crate::inference::predictor;
use crate::learner::memory;
use crate::learner::progress::EpochReport;
use crate::learner::step::{ScoredRow, TrainableModel};
use crate::learner::strategy::Outcome;
use crate::task_data::TaskData;
use crate::task_data::evaluator::{Evaluator, SquadEvaluator};
use crate::task_data::rows::{self, TaskRows};

impl Run {
    /// The result of a run whose training has ended.
    pub(super) fn result(
        &self,
        table: &TrainableTable,
        outcome: &Outcome,
        directory: &RunDirectory,
    ) -> Result<RunResult> {
        let progress = &outcome.progress;
        let EpochReport { epoch: best_epoch, score, scores, .. } =
            progress.best().context("no epoch was trained")?.clone();
        ensure_kept(directory, score)?;
        let (majority, bag_of_words) = match &self.task.subject {
            TaskData::Texts(rows) => baselines(rows),
            TaskData::Questions(_) => (None, None),
        };
        let parameters = table.parameters();
        let timed = progress.epochs.iter().map(|epoch| epoch.seconds_per_step);
        let mut seconds: Vec<f64> = timed.filter(|seconds| *seconds > 0.0).collect();
        seconds.sort_by(f64::total_cmp);
        Ok(RunResult {
            task: self.config.task.name.clone(),
            method: self.config.model.method.to_string(),
            metric: self.task.evaluator.metric().to_owned(),
            score,
            scores,
            judged: self.evaluate_splits(directory)?,
            majority,
            bag_of_words,
            best_epoch,
            epochs: progress.epochs.len(),
            steps: progress.steps,
            collapsed: outcome.collapsed,
            trainable_parameters: parameters,
            share_of_base: table.share(parameters),
            seconds_per_step: seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
            seconds: progress.seconds,
            memory_mib: memory::resident_bytes().map(|bytes| bytes / (1 << 20)),
            base_fingerprint: Some(self.base.fingerprint()?),
            rows_fingerprint: self.task.subject.fingerprint().map(str::to_owned),
            device: devices::describe(&self.device),
            seed: self.config.seed,
            adapter: directory.adapter(),
        })
    }

    /// Scores the kept adapter on the other labeled parts of the task, or writes down what it answers to questions.
    fn evaluate_splits(
        &self,
        directory: &RunDirectory,
    ) -> Result<BTreeMap<String, Map<String, Value>>> {
        if let Evaluator::Answers(evaluator) = &*self.task.evaluator {
            self.write_answers(evaluator, directory)?;
        }
        match &self.task.subject {
            TaskData::Texts(rows) if !rows.eval_splits.is_empty() => {
                self.evaluate_other_splits(rows, directory)
            }
            TaskData::Texts(_) | TaskData::Questions(_) => Ok(BTreeMap::new()),
        }
    }

    /// The adapter of the best epoch, read back from its file.
    fn load_best(&self, directory: &RunDirectory) -> Result<TrainableModel> {
        let bert = self.base.bert().valid();
        let (model, _) = native::load(&directory.adapter(), bert, &self.base.fingerprint()?)?;
        Ok(TrainableModel { model })
    }

    fn write_answers(&self, evaluator: &SquadEvaluator, directory: &RunDirectory) -> Result<()> {
        let trainable = self.load_best(directory)?;
        let batch_size = self.config.training.batch_size;
        let scored = predictor::run(&trainable, &self.task.validation, batch_size, &self.device);
        ensure_finite(&scored, "validation")?;
        let found = evaluator.answers(&scored);
        let predictions = answers::predictions(&evaluator.squad, &found);
        let texts = [
            (directory.predictions(), answers::predictions_json(&predictions)),
            (directory.n_best_predictions(), answers::n_best_json(&evaluator.squad, &found)),
        ];
        texts.iter().try_for_each(|(path, text)| write_atomically(path, text.as_bytes()))
    }

    fn evaluate_other_splits(
        &self,
        rows: &TaskRows,
        directory: &RunDirectory,
    ) -> Result<BTreeMap<String, Map<String, Value>>> {
        let trainable = self.load_best(directory)?;
        let mut judged = BTreeMap::new();
        for (split, examples) in &rows.eval_splits {
            let encoded = rows::encode(&self.task.encoder, &self.base.config, examples)?;
            let batch_size = self.config.training.batch_size;
            let scored = predictor::run(&trainable, &encoded, batch_size, &self.device);
            ensure_finite(&scored, split.name())?;
            if let Some(scores) = rows::scores(&rows.task, scored.iter()) {
                judged.insert(split.name().to_owned(), scores);
            }
        }
        Ok(judged)
    }
}

/// Outputs that are no numbers are never scored.
fn ensure_finite(rows: &[ScoredRow], part: &str) -> Result<()> {
    let is_finite = |row: &ScoredRow| row.logits.iter().all(|logit| logit.is_finite());
    let wrong = rows.iter().filter(|row| !is_finite(row)).count();
    ensure!(
        wrong == 0,
        "the kept adapter gives NaN or an infinity for {wrong} of {} {part} rows",
        rows.len()
    );
    Ok(())
}

/// The validation scores of the commonest label and of a bag of words.
fn baselines(rows: &TaskRows) -> (Option<f64>, Option<f64>) {
    let TaskRows { task, train, validation, .. } = rows;
    let score = |predictions: Vec<Prediction>| main_score(task, &predictions, validation);
    let majority = baseline::majority(&task.labels, train, validation.len());
    let bag_of_words = baseline::bag_of_words(&task.labels, train, validation);
    (Some(score(majority)), bag_of_words.map(score))
}

fn main_score(task: &Task, predictions: &[Prediction], examples: &[glue_data::Example]) -> f64 {
    let judged = predictions
        .iter()
        .zip(examples)
        .filter_map(|(prediction, example)| Some((*prediction, example.label?)));
    let (predictions, labels): (Vec<_>, Vec<_>) = judged.unzip();
    task.metric().compute(&predictions, &labels)
}

/// The adapter file is of the best epoch.
///
/// On a GPU the steps after a checkpoint have other bits when they are done again, and the best epoch may be another.
fn ensure_kept(directory: &RunDirectory, best: f64) -> Result<()> {
    let path = directory.adapter();
    let header = native::read_header(&path)?;
    let kept = header.metadata.score.map(|score| score.value);
    // Readers of JSON round.
    ensure!(
        kept.is_some_and(|kept| (kept - best).abs() <= 1e-12),
        "{} has the score {kept:?}, but the best epoch has {best}; it is not the adapter of that epoch, and the run \
         has to be trained again",
        path.display()
    );
    Ok(())
}
