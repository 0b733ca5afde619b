//! One training run: from a configuration to an adapter file and a result.
//! What runs share is in [`shared`](crate::shared); who asks for a run, and what is told about it, in the recipes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use burn_adapters::file::native::{self, AdapterMetadata, DataSource, Score};
use burn_adapters::{AdaptedBert, TaskAdapterConfig, TrainedTable, fuse};
use glue_data::tasks::squad::answers;
use glue_data::{Batch, EncodedRows, PadToLongest, Prediction, Task, baseline};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifacts::{RunDirectory, write_atomically};
use crate::devices;
use crate::frozen::FrozenTask;
use crate::insertion_cost;
use crate::judge::{AnswerJudge, Judge};
use crate::learner::checkpoint::{Checkpoint, EpochReport, Progress};
use crate::learner::memory;
use crate::learner::metrics::{Gauge, ScoreMetric};
use crate::learner::optimizer::build_optimizer;
use crate::learner::step::Tuner;
use crate::learner::strategy::{Keep, Outcome, ResumableLoop};
use crate::recipes::inference;
use crate::rows::{self, TaskRows};
use crate::run_config::RunConfig;
use crate::shared::{LoadedBase, LoadedTask, Shared};
use crate::stop::Stop;
use crate::subject::Subject;

/// What a run ends with: `result.json`, and the line of `--json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the task.
    pub task: String,
    /// The method's name.
    pub method: String,
    /// Name of the main metric.
    pub metric: String,
    /// The best validation score.
    pub score: f64,
    /// Every score of that epoch.
    pub scores: Map<String, Value>,
    /// Every score of the kept epoch on each other labeled part of the task, by the part's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judged: BTreeMap<String, Map<String, Value>>,
    /// The validation score of the commonest label; none for questions, which have no labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// The validation score of a bag of words; none for a regression or for questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bag_of_words: Option<f64>,
    /// The epoch that was kept, counted from 1.
    pub best_epoch: usize,
    /// Epochs that were trained.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Whether the run ended early because it gave every row the same answer.
    #[serde(default)]
    pub collapsed: bool,
    /// Parameters that were trained.
    pub trained_parameters: usize,
    /// Their share of the base.
    pub share_of_base: f64,
    /// Median seconds of a training step, over the epochs.
    pub seconds_per_step: f64,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Resident memory at the end, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// SHA-256 of the base's weights; results of version 0.1.0 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_fingerprint: Option<String>,
    /// SHA-256 of the published rows, before any limit; none for rows of one's own, and in results of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_fingerprint: Option<String>,
    /// Where it was computed.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// The adapter file.
    pub adapter: PathBuf,
}

impl RunResult {
    /// Reads a `result.json`.
    ///
    /// # Errors
    /// A file that cannot be read or is not a result.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the result {}", path.display());
        serde_json::from_slice(&std::fs::read(path).with_context(context)?).with_context(context)
    }
}

/// Makes what shows a run.
pub type MakeRenderer = Box<dyn Fn(&Interrupter) -> Box<dyn MetricsRenderer>>;

/// How a run is watched and stopped.
pub struct Watch {
    /// What shows the run while it trains.
    pub renderer: MakeRenderer,
    /// Who may stop it.
    pub stop: Stop,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// Epochs in a row with one answer for every validation row after which the run is given up.
    pub give_up_after: Option<usize>,
}

/// A run that is ready to train.
pub struct Run {
    config: RunConfig,
    device: burn::tensor::Device,
    replicas: Vec<burn::tensor::Device>,
    base: Arc<LoadedBase>,
    task: Arc<LoadedTask>,
    frozen: Option<Arc<FrozenTask>>,
    tuner: Tuner,
}

impl Run {
    /// Reads or finds in memory what the run works with, and builds its model.
    ///
    /// # Errors
    /// Rows, a base or a plan that cannot be used.
    pub fn prepare(config: RunConfig, shared: &mut Shared) -> Result<Self> {
        let task = shared.task(&config)?;
        let base = shared.base(&config.model)?;
        let bert = base.bert();
        insertion_cost::check(&config.plan(), &base.config)?;
        let task_config = TaskAdapterConfig {
            plan: config.plan(),
            outputs: task.subject.head().outputs(),
            pooling: config.model.pooling,
            head_dropout: base.config.hidden_dropout_prob,
            head_hidden: None,
            seed: glue_data::derive_seed(config.seed, "task"),
            fused: Vec::new(),
        };
        let adapter = if config.model.fuse.is_empty() {
            task_config.init(&bert)?
        } else {
            let fingerprint = base.fingerprint()?;
            let adapters = config.model.fuse.iter().map(|path| {
                let (trained, metadata) = native::load(path, bert.clone(), &fingerprint)?;
                metadata.base.check_tokenizer(path, Some(&task.encoder.fingerprint()))?;
                Ok(trained.task)
            });
            fuse(&task_config, adapters.collect::<Result<_>>()?, &bert)?
        };
        let tuner = Tuner { model: AdaptedBert::new(bert, adapter)? };
        let frozen = shared.frozen(&config)?;
        let (device, replicas) = (shared.device().clone(), shared.replicas().to_vec());
        Ok(Self { config, device, replicas, base, task, frozen, tuner })
    }

    /// What trains.
    pub fn table(&self) -> TrainedTable {
        self.tuner.model.trained_table()
    }

    /// Trains to the end, from the newest checkpoint of the directory where there is one; `None` when it was stopped.
    ///
    /// # Errors
    /// Whatever keeps the run from ending with a score; what was saved until then stays.
    pub fn train(self, directory: &RunDirectory, watch: &Watch) -> Result<Option<RunResult>> {
        let table = self.table();
        let optimizer = |tuner: &Tuner| build_optimizer(&self.config.training, tuner);
        let fresh = self.tuner.clone();
        let checkpoint = Checkpoint::newest(&directory.checkpoints())?;
        let (tuner, optimizer, progress) = if let Some(checkpoint) = checkpoint {
            checkpoint.restore(fresh, optimizer)?
        } else {
            let optimizer = optimizer(&fresh);
            (fresh, optimizer, Progress::default())
        };
        let outcome = self.launch(tuner, optimizer, progress, directory, watch)?;
        if let Some(error) = outcome.error {
            let root = directory.root().display();
            return Err(error.context(format!("the run stopped; what was saved is in {root}")));
        }
        if !outcome.ended {
            return Ok(None);
        }
        let result = self.result(&table, &outcome, directory)?;
        write_atomically(&directory.result(), &serde_json::to_vec_pretty(&result)?)?;
        // The run has its result; nobody goes on from here.
        std::fs::remove_dir_all(directory.checkpoints()).context("removing the checkpoints")?;
        Ok(Some(result))
    }

    fn launch(
        &self,
        tuner: Tuner,
        optimizer: ModuleOptimizer,
        progress: Progress,
        directory: &RunDirectory,
        watch: &Watch,
    ) -> Result<Outcome> {
        let training = &self.config.training;
        let batches = (self.task.train.rows().len() / training.batch_size).max(1);
        let steps_per_epoch = batches / training.accumulate;
        ensure!(
            steps_per_epoch > 0,
            "the training rows make {batches} batches, fewer than the {} of one step; lower --accumulate or --batch-size",
            training.accumulate
        );
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let strategy = ResumableLoop {
            train: self.task.train.clone(),
            validation: self.task.validation.clone(),
            frozen: self.frozen.clone(),
            judge: Arc::clone(&self.task.judge),
            optimizer: optimizer.clone(),
            progress,
            schedule: self.config.schedule(steps_per_epoch * training.epochs),
            epochs: training.epochs,
            steps_per_epoch,
            batch_size: training.batch_size,
            accumulate: training.accumulate,
            gradient_checkpointing: training.gradient_checkpointing,
            clip: training.clip,
            patience: training.patience,
            give_up_after: watch.give_up_after,
            seed: self.config.seed,
            replicas: self.replicas.clone(),
            checkpoint_every: watch.checkpoint_every,
            run: directory.clone(),
            keep: self.keeper(directory),
            outcome: Arc::clone(&outcome),
        };
        let interrupter = Interrupter::new();
        watch.stop.watch(&interrupter);
        let learner = Learner::new(tuner, optimizer, training.learning_rate);
        let supervised = SupervisedTraining::new(
            directory.root(),
            loader(&self.task.train),
            loader(&self.task.validation),
        )
        .metric_train_numeric(Gauge::loss())
        .metric_valid_numeric(Gauge::loss());
        let supervised = match &*self.task.judge {
            Judge::Labels(task) => {
                let score = ScoreMetric::new(Arc::new(task.clone()));
                supervised.metric_train_numeric(score.clone()).metric_valid_numeric(score)
            }
            Judge::Answers(_) => supervised
                .metric_train_numeric(Gauge::spans_found())
                .metric_valid_numeric(Gauge::spans_found()),
        };
        let trained = supervised
            .metric_train_numeric(Gauge::learning_rate())
            .metric_train_numeric(Gauge::gradient_norm())
            .metric_train_numeric(Gauge::step_time())
            .metric_train_numeric(Gauge::memory())
            .with_metric_logger(burn::train::logger::InMemoryMetricLogger::default())
            .num_epochs(training.epochs)
            .with_application_logger(None)
            .renderer((watch.renderer)(&interrupter))
            .with_interrupter(interrupter)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .launch(learner);
        drop(trained);
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *outcome))
    }

    /// Writes the adapter of an epoch that is the best so far.
    fn keeper(&self, directory: &RunDirectory) -> Keep {
        let path = directory.adapter();
        let base = Arc::clone(&self.base);
        let tokenizer = self.task.encoder.fingerprint();
        let method = self.config.model.method.to_string();
        let task = self.config.task.name.clone();
        let data = match self.config.task.custom {
            Some(_) => DataSource::Own,
            None => DataSource::Published,
        };
        let input = self.task.subject.input();
        let head = self.task.subject.head();
        let max_length = self.config.model.max_length;
        let metric = self.task.judge.metric().to_owned();
        Box::new(move |tuner, report| {
            let metadata = AdapterMetadata {
                method: method.clone(),
                task: task.clone(),
                data: Some(data),
                input,
                head: head.clone(),
                score: Some(Score { metric: metric.clone(), value: report.score }),
                max_length,
                // Asked for only now: it is computed while the first epoch trains.
                base: base.base.identity_with(base.fingerprint()?, tokenizer.clone())?,
            };
            native::save(&path, &tuner.model, &metadata)?;
            Ok(())
        })
    }

    fn result(
        &self,
        table: &TrainedTable,
        outcome: &Outcome,
        directory: &RunDirectory,
    ) -> Result<RunResult> {
        let progress = &outcome.progress;
        let EpochReport { epoch: best_epoch, score, scores, .. } =
            progress.best().context("no epoch was trained")?.clone();
        let (majority, bag_of_words) = match &self.task.subject {
            Subject::Texts(rows) => baselines(rows),
            Subject::Questions(_) => (None, None),
        };
        let parameters = table.parameters();
        let mut seconds: Vec<f64> =
            progress.epochs.iter().map(|epoch| epoch.seconds_per_step).collect();
        seconds.sort_by(f64::total_cmp);
        Ok(RunResult {
            task: self.config.task.name.clone(),
            method: self.config.model.method.to_string(),
            metric: self.task.judge.metric().to_owned(),
            score,
            scores,
            judged: self.judge(directory)?,
            majority,
            bag_of_words,
            best_epoch,
            epochs: progress.epochs.len(),
            steps: progress.steps,
            collapsed: outcome.collapsed,
            trained_parameters: parameters,
            share_of_base: table.share(parameters),
            seconds_per_step: seconds[seconds.len() / 2],
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
    fn judge(&self, directory: &RunDirectory) -> Result<BTreeMap<String, Map<String, Value>>> {
        if let Judge::Answers(judge) = &*self.task.judge {
            self.write_answers(judge, directory)?;
        }
        match &self.task.subject {
            Subject::Texts(rows) if !rows.judged_by.is_empty() => {
                self.judge_other_parts(rows, directory)
            }
            Subject::Texts(_) | Subject::Questions(_) => Ok(BTreeMap::new()),
        }
    }

    /// The adapter of the best epoch, read back from its file.
    fn kept(&self, directory: &RunDirectory) -> Result<Tuner> {
        let bert = self.base.bert().valid();
        let (model, _) = native::load(&directory.adapter(), bert, &self.base.fingerprint()?)?;
        Ok(Tuner { model })
    }

    fn write_answers(&self, judge: &AnswerJudge, directory: &RunDirectory) -> Result<()> {
        let tuner = self.kept(directory)?;
        let batch_size = self.config.training.batch_size;
        let scored = inference::run(&tuner, &self.task.validation, batch_size, &self.device);
        let found = judge.answers(&scored);
        let predictions = answers::predictions(&judge.squad, &found);
        let texts = [
            (directory.predictions(), answers::predictions_json(&predictions)),
            (directory.n_best_predictions(), answers::n_best_json(&judge.squad, &found)),
        ];
        texts.iter().try_for_each(|(path, text)| write_atomically(path, text.as_bytes()))
    }

    fn judge_other_parts(
        &self,
        rows: &TaskRows,
        directory: &RunDirectory,
    ) -> Result<BTreeMap<String, Map<String, Value>>> {
        let tuner = self.kept(directory)?;
        let mut judged = BTreeMap::new();
        for (split, examples) in &rows.judged_by {
            let encoded = rows::encode(&self.task.encoder, &self.base.config, examples)?;
            let batch_size = self.config.training.batch_size;
            let scored = inference::run(&tuner, &encoded, batch_size, &self.device);
            if let Some(scores) = rows::scores(&rows.task, scored.iter()) {
                judged.insert(split.name().to_owned(), scores);
            }
        }
        Ok(judged)
    }
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

/// burn-train asks for loaders; the loop makes its own batches.
fn loader(rows: &EncodedRows) -> Arc<dyn DataLoader<Batch>> {
    DataLoaderBuilder::new(PadToLongest::default()).batch_size(1).build(rows.clone())
}
