//! One training run: from a configuration to an adapter file and a result.
//! What runs share is in [`shared`](crate::resource_cache); who asks for a run, and what is told about it, in the recipes.

mod conclusion;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::optim::ModuleOptimizer;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use burn_adapters::file::native::{self, AdapterMetadata, DataSource, Score};
use burn_adapters::{AdaptedBert, InnerNorm, TaskAdapterConfig, TrainableTable, fuse};
use glue_data::{Batch, PadToLongest, TokenizedDataset};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::activation_cache::TaskActivations;
use crate::artifacts::{RunDirectory, write_atomically};
use crate::exit::UsageError;
use crate::insertion_cost;
use crate::learner::checkpoint::identity::{Identity, RowsIdentity};
use crate::learner::checkpoint::{Checkpoint, Found, Progress};
use crate::learner::metrics::{Gauge, ScoreMetric};
use crate::learner::optimizer::build_optimizer;
use crate::learner::step::TrainableModel;
use crate::learner::strategy::{ComputeIdentity, Outcome, ResumableLoop, SaveBest};
use crate::resource_cache::{LoadedBase, LoadedTask, ResourceCache};
use crate::run_config::{RunConfig, TrainingConfig};
use crate::stop::Stop;
use crate::task_data::evaluator::Evaluator;

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
    #[serde(rename = "trained_parameters")]
    pub trainable_parameters: usize,
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

/// Makes what shows a run, of which so many epochs are done.
pub type MakeRenderer = Box<dyn Fn(&Interrupter, usize) -> Box<dyn MetricsRenderer>>;

/// How a run is watched and stopped.
pub struct RunOptions {
    /// What shows the run while it trains.
    pub renderer: MakeRenderer,
    /// Who may stop it.
    pub stop: Stop,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// Epochs in a row with one answer for every validation row after which the run is given up.
    pub give_up_after: Option<usize>,
    /// Shows a sentence to the user, while nothing else shows the run.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A run that is ready to train.
pub struct Run {
    steps_per_epoch: usize,
    config: RunConfig,
    device: burn::tensor::Device,
    replicas: Vec<burn::tensor::Device>,
    base: Arc<LoadedBase>,
    task: Arc<LoadedTask>,
    frozen: Option<Arc<TaskActivations>>,
    trainable: TrainableModel,
}

impl Run {
    /// Reads or finds in memory what the run works with, and builds its model.
    ///
    /// # Errors
    /// Rows, a base or a plan that cannot be used.
    pub fn prepare(config: RunConfig, shared: &mut ResourceCache) -> Result<Self> {
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
        let trainable = TrainableModel { model: AdaptedBert::new(bert, adapter)? };
        let (device, replicas) = (shared.device().clone(), shared.replicas().to_vec());
        // Every device would count its own share of a batch, and only the first one's statistics would be saved.
        if !replicas.is_empty() && has_batch_norm(trainable.model.task.config()) {
            return Err(UsageError::new(
                "the running statistics of batch norms are of one device; train on one with --device, or use \
                 --inner-norm layer",
            ));
        }
        let steps_per_epoch = steps_per_epoch(&task.train, &config.training)?;
        let frozen = shared.frozen(&config)?;
        Ok(Self { steps_per_epoch, config, device, replicas, base, task, frozen, trainable })
    }

    /// What trains.
    pub fn table(&self) -> TrainableTable {
        self.trainable.model.trainable_table()
    }

    /// Trains to the end, from the newest checkpoint of the directory where there is one; `None` when it was stopped.
    ///
    /// The directory is locked, unless it is already.
    ///
    /// # Errors
    /// Whatever keeps the run from ending with a score; what was saved until then stays.
    pub fn train(self, directory: &RunDirectory, watch: &RunOptions) -> Result<Option<RunResult>> {
        let directory = &directory.clone().locked()?;
        directory.remove_leftovers()?;
        let table = self.table();
        let (trainable, optimizer, progress) = self.start(directory, watch)?;
        let outcome = self.launch(trainable, optimizer, progress, directory, watch);
        if let Some(error) = outcome.error {
            let root = directory.root().display();
            return Err(error.context(format!("the run stopped; what was saved is in {root}")));
        }
        if !outcome.ended {
            return Ok(None);
        }
        let result = self.result(&table, &outcome, directory)?;
        write_atomically(&directory.result(), &serde_json::to_vec_pretty(&result)?)?;
        // The run has its result and is not resumed.
        directory.remove_checkpoints()?;
        Ok(Some(result))
    }

    /// The model, its optimizer and how far they are: from the newest checkpoint that is whole, or new.
    fn start(
        &self,
        directory: &RunDirectory,
        watch: &RunOptions,
    ) -> Result<(TrainableModel, ModuleOptimizer, Progress)> {
        let training = &self.config.training;
        let optimizer = |trainable: &TrainableModel| build_optimizer(training, trainable);
        let fresh = self.trainable.clone();
        let Found { checkpoint, damages } = Checkpoint::newest(&directory.checkpoints())?;
        let Some(checkpoint) = checkpoint else {
            let optimizer = optimizer(&fresh);
            return Ok((fresh, optimizer, Progress::default()));
        };
        for damage in damages {
            (watch.say)(&format!("a damaged checkpoint is left out: {damage}"));
        }
        let identity = identity(&self.config, &self.base, &self.task)?;
        if !checkpoint.check(&identity)? {
            (watch.say)(
                "the checkpoint was saved by an older version, which did not record rows, base and settings: that \
                 they are the same could not be checked",
            );
        }
        let (epochs, steps) = (checkpoint.progress.epochs.len(), checkpoint.progress.steps);
        checkpoint.progress.steps_into_epoch(self.steps_per_epoch, training.epochs)?;
        (watch.say)(&format!(
            "resuming after step {steps} of {}, in epoch {} of {}",
            self.steps_per_epoch * training.epochs,
            (epochs + 1).min(training.epochs),
            training.epochs
        ));
        checkpoint.restore(fresh, optimizer)
    }

    fn launch(
        &self,
        trainable: TrainableModel,
        optimizer: ModuleOptimizer,
        progress: Progress,
        directory: &RunDirectory,
        watch: &RunOptions,
    ) -> Outcome {
        let training = &self.config.training;
        let steps_per_epoch = self.steps_per_epoch;
        let epochs_done = progress.epochs.len();
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let strategy = ResumableLoop {
            train: self.task.train.clone(),
            validation: self.task.validation.clone(),
            frozen: self.frozen.clone(),
            evaluator: Arc::clone(&self.task.evaluator),
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
            identify: self.identifier(),
            say: Box::new({
                let say = Arc::clone(&watch.say);
                move |sentence| say(sentence)
            }),
            outcome: Arc::clone(&outcome),
        };
        let interrupter = Interrupter::new();
        watch.stop.watch(&interrupter);
        let learner = Learner::new(trainable, optimizer, training.learning_rate);
        let supervised = SupervisedTraining::new(
            directory.root(),
            loader(&self.task.train),
            loader(&self.task.validation),
        )
        .metric_train_numeric(Gauge::loss())
        .metric_valid_numeric(Gauge::loss());
        let supervised = match &*self.task.evaluator {
            Evaluator::Labels(task) => {
                let score = ScoreMetric::new(Arc::new(task.clone()));
                supervised.metric_train_numeric(score.clone()).metric_valid_numeric(score)
            }
            Evaluator::Answers(_) => supervised
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
            // No checkpointer reads it: it is where the epochs that are shown begin.
            .checkpoint(epochs_done)
            .with_application_logger(None)
            .renderer((watch.renderer)(&interrupter, epochs_done))
            .with_interrupter(interrupter)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .launch(learner);
        drop(trained);
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *outcome)
    }

    /// What the run's checkpoints belong to.
    fn identifier(&self) -> ComputeIdentity {
        let (config, base) = (self.config.clone(), Arc::clone(&self.base));
        let task = Arc::clone(&self.task);
        Box::new(move || identity(&config, &base, &task))
    }

    /// Writes the adapter of an epoch that is the best so far.
    fn keeper(&self, directory: &RunDirectory) -> SaveBest {
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
        let metric = self.task.evaluator.metric().to_owned();
        Box::new(move |trainable, report| {
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
            native::save(&path, &trainable.model, &metadata)?;
            Ok(())
        })
    }
}

/// All that decides what a run computes.
fn identity(config: &RunConfig, base: &LoadedBase, task: &LoadedTask) -> Result<Identity> {
    Ok(Identity {
        training_rows: RowsIdentity::of(&task.train, None),
        validation_rows: RowsIdentity::of(&task.validation, Some(&task.evaluator)),
        head: task.subject.head(),
        base: base.fingerprint()?,
        base_config: serde_json::to_string(&base.config)?,
        tokenizer: task.encoder.fingerprint(),
        config: toml::to_string(config)?,
    })
}

/// Whether a task's adapters, or those that it fuses, norm by the batch.
fn has_batch_norm(task: &TaskAdapterConfig) -> bool {
    let norms = std::iter::once(&task.plan)
        .chain(&task.fused)
        .filter_map(|plan| plan.bottleneck.as_ref().map(|bottleneck| bottleneck.inner_norm));
    norms.into_iter().any(|norm| norm == InnerNorm::Batch)
}

/// Optimizer steps of an epoch.
fn steps_per_epoch(train: &TokenizedDataset, training: &TrainingConfig) -> Result<usize> {
    let batches = (train.rows().len() / training.batch_size).max(1);
    let steps = batches / training.accumulate;
    ensure!(
        steps > 0,
        "the training rows make {batches} batches, fewer than the {} of one step; lower --accumulate or --batch-size",
        training.accumulate
    );
    ensure!(
        steps.checked_mul(training.epochs).is_some(),
        "{} epochs of {steps} steps are more than can be counted; lower --epochs",
        training.epochs
    );
    Ok(steps)
}

/// burn-train asks for loaders; the loop makes its own batches.
fn loader(rows: &TokenizedDataset) -> Arc<dyn DataLoader<Batch>> {
    DataLoaderBuilder::new(PadToLongest::default()).batch_size(1).build(rows.clone())
}
