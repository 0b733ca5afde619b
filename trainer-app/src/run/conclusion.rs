//! The result of a run: the scores of the best adapter, and the baselines.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn_adapters::TrainableTable;
use burn_adapters::file::native::{self, Calibration};
use glue_data::TokenizedDataset;
use serde_json::{Map, Value};

use super::prepared::Run;
use super::result::RunResult;
use crate::inference::predictor;
use crate::learner::memory;
use crate::learner::progress::{EpochReport, median};
use crate::learner::run_directory::RunDirectory;
use crate::learner::step::TrainableModel;
use crate::learner::strategy::LoopResult;
use crate::system::devices;
use crate::system::files::write_atomically;
use crate::task_data::data_set::PreparedSplit;
use crate::task_data::evaluator::RowOutput;

impl Run {
    /// The result of a run whose training has ended.
    pub(super) fn result(
        &self,
        table: &TrainableTable,
        trained: &LoopResult,
        directory: &RunDirectory,
    ) -> Result<RunResult> {
        let progress = &trained.progress;
        let EpochReport { epoch: best_epoch, score, scores, calibration, details, .. } =
            progress.best().context("no epoch was trained")?.clone();
        ensure_saved_is_best(directory, score)?;
        let baselines = self.data.source.baselines();
        let parameters = table.parameters();
        let seconds = progress.epochs.iter().map(|epoch| epoch.seconds_per_step);
        let seconds: Vec<f64> = seconds.filter(|seconds| *seconds > 0.0).collect();
        self.write_predictions(directory)?;
        Ok(RunResult {
            task: self.config.task.name.clone(),
            method: self.config.model.method.to_string(),
            metric: self.data.prepared.evaluator.metric().to_owned(),
            score,
            scores,
            eval_scores: self.evaluate_splits(directory, &calibration)?,
            details,
            majority: baselines.majority,
            bag_of_words: baselines.bag_of_words,
            word_tags: baselines.word_tags,
            best_epoch,
            epochs: progress.epochs.len(),
            steps: progress.steps,
            collapsed: trained.collapsed,
            trainable_parameters: parameters,
            share_of_base: table.share(parameters),
            seconds_per_step: median(seconds),
            seconds: progress.seconds,
            memory_mib: memory::resident_bytes().map(|bytes| bytes / (1 << 20)),
            base_fingerprint: Some(self.base.fingerprint()?),
            base_config: Some(self.base.published_config.clone()),
            tokenizer_fingerprint: Some(self.data.encoder.fingerprint()),
            rows_fingerprint: self.data.source.fingerprint().map(str::to_owned),
            device: devices::describe(&self.device),
            seed: self.config.seed,
            adapter: directory.adapter(),
        })
    }

    /// Scores the best adapter on the other labeled splits.
    fn evaluate_splits(
        &self,
        directory: &RunDirectory,
        calibration: &Calibration,
    ) -> Result<BTreeMap<String, Map<String, Value>>> {
        let splits = self.data.source.prepare_eval_splits(&self.data.encoder, &self.base.config)?;
        if splits.is_empty() {
            return Ok(BTreeMap::new());
        }
        let trainable = self.load_best(directory)?;
        let mut by_split = BTreeMap::new();
        for (split, PreparedSplit { rows, evaluator }) in splits {
            let outputs = self.outputs(&trainable, &rows, split.name())?;
            if let Some(scores) = evaluator.scores(&outputs, calibration) {
                by_split.insert(split.name().to_owned(), scores);
            }
        }
        Ok(by_split)
    }

    /// Writes the best adapter's predictions for the validation rows, if the evaluator has files for them.
    fn write_predictions(&self, directory: &RunDirectory) -> Result<()> {
        let evaluator = &self.data.prepared.evaluator;
        if !evaluator.has_prediction_files() {
            return Ok(());
        }
        let trainable = self.load_best(directory)?;
        let outputs = self.outputs(&trainable, &self.data.prepared.validation, "validation")?;
        let files = evaluator.prediction_files(&outputs);
        files.iter().try_for_each(|(name, text)| {
            write_atomically(&directory.root().join(name), text.as_bytes())
        })
    }

    /// The adapter of the best epoch, read from its file.
    fn load_best(&self, directory: &RunDirectory) -> Result<TrainableModel> {
        let bert = self.base.bert().valid();
        let (model, _) = native::load(&directory.adapter(), bert, &self.base.fingerprint()?)?;
        Ok(TrainableModel { model })
    }

    /// The outputs for the rows of a split.
    ///
    /// # Errors
    /// If an output is not finite.
    fn outputs(
        &self,
        trainable: &TrainableModel,
        rows: &TokenizedDataset,
        split: &str,
    ) -> Result<Vec<RowOutput>> {
        let batch_size = self.config.training.batch_size;
        let outputs = predictor::run(trainable, rows, batch_size, &self.device);
        let is_finite = |row: &RowOutput| row.logits.iter().all(|logit| logit.is_finite());
        let wrong = outputs.iter().filter(|row| !is_finite(row)).count();
        ensure!(
            wrong == 0,
            "the saved adapter gives NaN or an infinity for {wrong} of {} {split} rows",
            outputs.len()
        );
        Ok(outputs)
    }
}

/// Checks that the adapter file is of the best epoch.
///
/// On a GPU, steps that are repeated after a checkpoint may differ in their last bits, and the best epoch may be another.
fn ensure_saved_is_best(directory: &RunDirectory, best: f64) -> Result<()> {
    let path = directory.adapter();
    let header = native::read_header(&path)?;
    let saved = header.metadata.score.map(|score| score.value);
    // Readers of JSON may round.
    ensure!(
        saved.is_some_and(|saved| (saved - best).abs() <= 1e-12),
        "{} has the score {saved:?}, but the best epoch has {best}; it is not the adapter of that epoch, and the run \
         has to be trained again",
        path.display()
    );
    Ok(())
}
