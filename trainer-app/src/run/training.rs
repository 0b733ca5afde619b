//! Trains a run, from its newest checkpoint if there is one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::optim::ModuleOptimizer;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use burn_adapters::file::native::{self, AdapterMetadata, DataSource, Score};
use glue_data::{Batch, PadToLongest, TokenizedDataset};

use super::prepared::Run;
use super::result::RunResult;
use crate::learner::checkpoint::identity::{Identity, RowsIdentity};
use crate::learner::checkpoint::{Checkpoint, Found};
use crate::learner::metrics::{Gauge, NoMetricLogger, ScoreMetric};
use crate::learner::optimizer::build_optimizer;
use crate::learner::progress::Progress;
use crate::learner::run_directory::RunDirectory;
use crate::learner::schedule::Schedule;
use crate::learner::step::TrainableModel;
use crate::learner::strategy::{ComputeIdentity, LoopResult, ResumableLoop, SaveBest};
use crate::run::resource_cache::{LoadedBase, LoadedData};
use crate::run_config::RunConfig;
use crate::system::files::write_atomically;
use crate::system::stop::Stop;
use crate::task_data::kind::head_kind;

/// Makes the renderer of a run, of which so many epochs are done.
pub type MakeRenderer = Box<dyn Fn(&Interrupter, usize) -> Box<dyn MetricsRenderer>>;

/// How a run is displayed, saved and stopped.
pub struct RunOptions {
    /// Makes the display of the run.
    pub renderer: MakeRenderer,
    /// Interrupts the run.
    pub stop: Stop,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// Consecutive epochs with the same prediction for every validation row after which the run ends.
    pub give_up_after: Option<usize>,
    /// Shows a message to the user, before the run is displayed.
    pub notify: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Run {
    /// Trains to the end, from the newest checkpoint of the directory if there is one; `None` if it was interrupted.
    ///
    /// The directory is locked, unless it is already.
    ///
    /// # Errors
    /// If the run cannot be completed. Its checkpoints are kept.
    pub fn train(
        self,
        directory: &RunDirectory,
        options: &RunOptions,
    ) -> Result<Option<RunResult>> {
        let directory = &directory.clone().locked()?;
        directory.remove_leftovers()?;
        let table = self.table();
        let (trainable, optimizer, progress) = self.start(directory, options)?;
        let trained = self.launch(trainable, optimizer, progress, directory, options);
        if let Some(error) = trained.error {
            let root = directory.root().display();
            return Err(error.context(format!("the run stopped; what was saved is in {root}")));
        }
        if !trained.ended {
            return Ok(None);
        }
        let result = self.result(&table, &trained, directory)?;
        write_atomically(&directory.result(), &serde_json::to_vec_pretty(&result)?)?;
        // A run with a result is not resumed.
        directory.remove_checkpoints()?;
        Ok(Some(result))
    }

    /// The model, its optimizer and its progress: from the newest intact checkpoint, or new.
    fn start(
        &self,
        directory: &RunDirectory,
        options: &RunOptions,
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
            (options.notify)(&format!("a damaged checkpoint is skipped: {damage}"));
        }
        let identity = identity(&self.config, &self.base, &self.data)?;
        if !checkpoint.check(&identity)? {
            (options.notify)(
                "the checkpoint was saved by an older version, which did not record rows, base and settings; they are not \
                 compared with those of this run",
            );
        }
        let (epochs, steps) = (checkpoint.progress.epochs.len(), checkpoint.progress.steps);
        checkpoint.progress.steps_into_epoch(self.steps_per_epoch, training.epochs)?;
        (options.notify)(&format!(
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
        options: &RunOptions,
    ) -> LoopResult {
        let training = &self.config.training;
        let steps_per_epoch = self.steps_per_epoch;
        let epochs_done = progress.epochs.len();
        let result = Arc::new(Mutex::new(LoopResult::default()));
        let data = &self.data.prepared;
        let strategy = ResumableLoop {
            train: data.train.clone(),
            validation: data.validation.clone(),
            activations: self.activations.clone(),
            evaluator: Arc::clone(&data.evaluator),
            tuning: training.tuning(),
            optimizer: optimizer.clone(),
            progress,
            schedule: Schedule::new(training, steps_per_epoch * training.epochs),
            epochs: training.epochs,
            steps_per_epoch,
            batch_size: training.batch_size,
            accumulate: training.accumulate,
            gradient_checkpointing: training.gradient_checkpointing,
            clip: training.clip,
            patience: training.patience,
            give_up_after: options.give_up_after,
            seed: self.config.seed,
            replicas: self.replicas.clone(),
            checkpoint_every: options.checkpoint_every,
            run: directory.clone(),
            save_best: self.save_best(directory),
            compute_identity: self.compute_identity(),
            notify: Box::new({
                let notify = Arc::clone(&options.notify);
                move |message| notify(message)
            }),
            result: Arc::clone(&result),
        };
        let interrupter = Interrupter::new();
        options.stop.watch(&interrupter);
        let learner = Learner::new(trainable, optimizer, training.learning_rate);
        let supervised = SupervisedTraining::new(
            directory.root(),
            loader(&data.train),
            loader(&data.validation),
        )
        .metric_train_numeric(Gauge::loss())
        .metric_valid_numeric(Gauge::loss());
        let supervised = if let Some(task) = data.evaluator.running_task() {
            let score = ScoreMetric::new(Arc::new(task.clone()));
            supervised.metric_train_numeric(score.clone()).metric_valid_numeric(score)
        } else {
            let found = Gauge::labels_found(self.data.source.kind());
            supervised.metric_train_numeric(found.clone()).metric_valid_numeric(found)
        };
        let trained = supervised
            .metric_train_numeric(Gauge::learning_rate())
            .metric_train_numeric(Gauge::gradient_norm())
            .metric_train_numeric(Gauge::step_time())
            .metric_train_numeric(Gauge::memory())
            .with_metric_logger(NoMetricLogger)
            .num_epochs(training.epochs)
            // The number of the first epoch that is displayed; there is no checkpointer.
            .checkpoint(epochs_done)
            .with_application_logger(None)
            .renderer((options.renderer)(&interrupter, epochs_done))
            .with_interrupter(interrupter)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .launch(learner);
        drop(trained);
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *result)
    }

    /// Computes the identity that the run's checkpoints record.
    fn compute_identity(&self) -> ComputeIdentity {
        let (config, base) = (self.config.clone(), Arc::clone(&self.base));
        let data = Arc::clone(&self.data);
        Box::new(move || identity(&config, &base, &data))
    }

    /// Saves the adapter of an epoch that is the best so far.
    fn save_best(&self, directory: &RunDirectory) -> SaveBest {
        let path = directory.adapter();
        let base = Arc::clone(&self.base);
        let tokenizer = self.data.encoder.fingerprint();
        let method = self.config.model.method.to_string();
        let task = self.config.task.name.clone();
        let source =
            if self.config.task.has_own_files() { DataSource::Own } else { DataSource::Published };
        let input = self.data.source.input();
        let head = head_kind(&self.data.source.kind());
        let max_length = self.config.model.max_length;
        let metric = self.data.prepared.evaluator.metric().to_owned();
        Box::new(move |trainable, report| {
            let metadata = AdapterMetadata {
                method: method.clone(),
                task: task.clone(),
                data: Some(source),
                input,
                head: head.clone(),
                score: Some(Score { metric: metric.clone(), value: report.score }),
                calibration: report.calibration.clone(),
                max_length,
                // The fingerprint is computed during the first epoch.
                base: base.base.identity_with(base.fingerprint()?, tokenizer.clone())?,
            };
            native::save(&path, &trainable.model, &metadata)?;
            Ok(())
        })
    }
}

/// Everything that determines what a run computes.
fn identity(config: &RunConfig, base: &LoadedBase, data: &LoadedData) -> Result<Identity> {
    Ok(Identity {
        training_rows: RowsIdentity::of(&data.prepared.train, None),
        validation_rows: RowsIdentity::of(
            &data.prepared.validation,
            Some(&*data.prepared.evaluator),
        ),
        head: head_kind(&data.source.kind()),
        base: base.fingerprint()?,
        base_config: serde_json::to_string(&base.config)?,
        tokenizer: data.encoder.fingerprint(),
        config: toml::to_string(config)?,
    })
}

/// burn-train requires data loaders; the loop makes its own batches.
fn loader(rows: &TokenizedDataset) -> Arc<dyn DataLoader<Batch>> {
    DataLoaderBuilder::new(PadToLongest::default()).batch_size(1).build(rows.clone())
}
