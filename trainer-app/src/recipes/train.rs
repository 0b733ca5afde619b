//! `trainer train`: one task on one base, from the rows to an adapter file and a score.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use burn::train::renderer::{MetricsRenderer, default_renderer};
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity, Score};
use burn_adapters::{AdaptedBert, TaskAdapterConfig};
use burn_bert::BertConfig;
use glue_data::tasks::squad::answers;
use glue_data::{Batch, EncodedRows, PadToLongest, Prediction, Task, TextEncoder, baseline};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::artifacts::{RunDirectory, write_atomically};
use crate::base::Base;
use crate::cli::TrainArgs;
use crate::devices;
use crate::judge::{AnswerJudge, Judge};
use crate::learner::checkpoint::{Checkpoint, EpochReport, Progress};
use crate::learner::memory;
use crate::learner::metrics::{Gauge, ScoreMetric};
use crate::learner::optimizer::build_optimizer;
use crate::learner::plain_lines::PlainLines;
use crate::learner::step::Tuner;
use crate::learner::strategy::{Keep, Outcome, ResumableLoop};
use crate::recipes::inference;
use crate::rows::{self, TaskRows};
use crate::run_config::RunConfig;
use crate::subject::{Material, Subject};
use crate::terminal;

/// What a run ends with: `result.json`, and the line of `--json`.
#[derive(Debug, Serialize)]
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub judged: BTreeMap<&'static str, Map<String, Value>>,
    /// The validation score of the commonest label; none for questions, which have no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// The validation score of a bag of words; none for a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bag_of_words: Option<f64>,
    /// The epoch that was kept, counted from 1.
    pub best_epoch: usize,
    /// Epochs that were trained.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Parameters that were trained.
    pub trained_parameters: usize,
    /// Their share of the base.
    pub share_of_base: f64,
    /// Median seconds of a training step, over the epochs.
    pub seconds_per_step: f64,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Resident memory at the end, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Where it was computed.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// The adapter file.
    pub adapter: PathBuf,
}

/// All that a run works with.
struct Run<'a> {
    args: &'a TrainArgs,
    config: RunConfig,
    directory: RunDirectory,
    device: Device,
    base: Base,
    subject: Subject,
    judge: Arc<Judge>,
    train: EncodedRows,
    validation: EncodedRows,
    encoder: TextEncoder,
    bert_config: BertConfig,
}

/// Runs `trainer train`.
///
/// # Errors
/// Whatever keeps the run from ending with a score; what was saved until then stays.
#[expect(clippy::print_stderr, reason = "what trains is told before it starts")]
pub fn run(args: &TrainArgs) -> Result<()> {
    let resumed =
        args.resume.as_ref().map(|directory| resume(args, directory.as_deref())).transpose()?;
    let (config, resumed) = match resumed {
        Some((config, directory)) => (config, Some(directory)),
        None => (RunConfig::resolve(args)?, None),
    };
    // What costs little and may be wrong comes first.
    let subject = Subject::read(&config)?;
    let device = devices::resolve(args.device.as_deref().unwrap_or(&config.device))?;
    let base = Base::locate(&config.model.base)?;
    let bert_config = BertConfig::from_json_file(&base.directory().join("config.json"))?;
    let bert_config = match config.model.dropout {
        Some(dropout) => bert_config.with_dropout(dropout),
        None => bert_config,
    };
    ensure!(
        config.model.max_length <= bert_config.max_position_embeddings,
        "max_length is {}, but {} reads {} tokens at most",
        config.model.max_length,
        base.name(),
        bert_config.max_position_embeddings
    );
    eprintln!("{}", subject.describe());
    let encoder = TextEncoder::from_directory(base.directory(), config.model.max_length)?;
    let Material { train, validation, judge } =
        subject.material(&encoder, &bert_config, config.model.max_length)?;
    let tuner =
        build(&config, &bert_config, &base, subject.head().outputs(), &device.clone().autodiff())?;
    eprintln!("\n{}", tuner.model.trained_table());

    // The directory is made only now, so that nothing that was mistyped leaves one behind.
    let directory = if let Some(directory) = resumed {
        directory
    } else {
        let name = config.default_name();
        let directory =
            RunDirectory::create(&args.runs, &config.task.name, args.name.as_deref(), &name)?;
        config.write(&directory.config())?;
        directory
    };
    eprintln!("run {}\n", directory.root().display());
    let judge = Arc::new(judge);
    Run {
        args,
        config,
        directory,
        device,
        base,
        subject,
        judge,
        train,
        validation,
        encoder,
        bert_config,
    }
    .train(tuner)
}

/// The configuration and directory of a run that was stopped.
fn resume(args: &TrainArgs, directory: Option<&Path>) -> Result<(RunConfig, RunDirectory)> {
    let directory = match directory {
        Some(directory) => RunDirectory::open(directory)?,
        None => RunDirectory::newest_unfinished(&args.runs)?,
    };
    if directory.is_finished() {
        bail!(
            "{} has ended: its result is in {}",
            directory.root().display(),
            directory.result().display()
        );
    }
    Ok((RunConfig::read(&directory.config())?, directory))
}

/// The base with a fresh task on it.
fn build(
    config: &RunConfig,
    bert_config: &BertConfig,
    base: &Base,
    outputs: usize,
    device: &Device,
) -> Result<Tuner> {
    let bert = burn_bert::load_weights(bert_config, base.directory(), device)?;
    let task = TaskAdapterConfig {
        plan: config.plan(),
        outputs,
        pooling: config.model.pooling,
        head_dropout: bert_config.hidden_dropout_prob,
        seed: glue_data::derive_seed(config.seed, "task"),
    };
    let task = task.init(&bert)?;
    Ok(Tuner { model: AdaptedBert::new(bert, task)? })
}

impl Run<'_> {
    #[expect(clippy::print_stderr, reason = "the end of the run is told")]
    fn train(&self, tuner: Tuner) -> Result<()> {
        let table = tuner.model.trained_table();
        let optimizer = |tuner: &Tuner| build_optimizer(&self.config.training, tuner);
        let (tuner, optimizer, progress) = match Checkpoint::newest(&self.directory.checkpoints())?
        {
            Some(checkpoint) if self.args.resume.is_some() => {
                checkpoint.restore(tuner, optimizer)?
            }
            _ => {
                let optimizer = optimizer(&tuner);
                (tuner, optimizer, Progress::default())
            }
        };
        if progress.steps > 0 {
            eprintln!("going on after step {}", progress.steps);
        }

        let outcome = self.launch(tuner, optimizer, progress)?;
        if let Some(error) = outcome.error {
            let root = self.directory.root().display();
            return Err(error.context(format!("the run stopped; what was saved is in {root}")));
        }
        let progress = outcome.progress;
        let ended = progress.epochs.len() >= self.config.training.epochs
            || self
                .config
                .training
                .patience
                .is_some_and(|patience| progress.epochs_without_improvement() >= patience);
        if !ended {
            let root = self.directory.root().display();
            eprintln!(
                "stopped after step {}; go on with: cargo xtask train --resume {root}",
                progress.steps
            );
            return Ok(());
        }
        let best = progress.best().context("no epoch was trained")?.clone();
        let result = self.result(&table, &progress, best)?;
        write_atomically(&self.directory.result(), &serde_json::to_vec_pretty(&result)?)?;
        // The run has its result; nobody goes on from here.
        std::fs::remove_dir_all(self.directory.checkpoints())
            .context("removing the checkpoints")?;
        self.tell(&result)
    }

    fn launch(
        &self,
        tuner: Tuner,
        optimizer: ModuleOptimizer,
        progress: Progress,
    ) -> Result<Outcome> {
        let training = &self.config.training;
        let batches = (self.train.rows().len() / training.batch_size).max(1);
        let steps_per_epoch = batches / training.accumulate;
        ensure!(
            steps_per_epoch > 0,
            "the training rows make {batches} batches, fewer than the {} of one step; lower --accumulate or --batch-size",
            training.accumulate
        );
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let strategy = ResumableLoop {
            train: self.train.clone(),
            validation: self.validation.clone(),
            judge: Arc::clone(&self.judge),
            optimizer: optimizer.clone(),
            progress,
            schedule: self.config.schedule(steps_per_epoch * training.epochs),
            epochs: training.epochs,
            steps_per_epoch,
            batch_size: training.batch_size,
            accumulate: training.accumulate,
            clip: training.clip,
            patience: training.patience,
            seed: self.config.seed,
            checkpoint_every: Duration::from_secs(self.args.checkpoint_every),
            run: self.directory.clone(),
            keep: self.keeper()?,
            outcome: Arc::clone(&outcome),
        };
        let interrupter = Interrupter::new();
        stop_on_signals(&interrupter)?;
        let learner = Learner::new(tuner, optimizer, training.learning_rate);
        let training = SupervisedTraining::new(
            self.directory.root(),
            loader(&self.train),
            loader(&self.validation),
        )
        .metric_train_numeric(Gauge::loss())
        .metric_valid_numeric(Gauge::loss());
        let training = match &*self.judge {
            Judge::Labels(task) => {
                let score = ScoreMetric::new(Arc::new(task.clone()));
                training.metric_train_numeric(score.clone()).metric_valid_numeric(score)
            }
            Judge::Answers(_) => training
                .metric_train_numeric(Gauge::spans_found())
                .metric_valid_numeric(Gauge::spans_found()),
        };
        let trained = training
            .metric_train_numeric(Gauge::learning_rate())
            .metric_train_numeric(Gauge::gradient_norm())
            .metric_train_numeric(Gauge::step_time())
            .metric_train_numeric(Gauge::memory())
            .with_metric_logger(burn::train::logger::InMemoryMetricLogger::default())
            .num_epochs(self.config.training.epochs)
            .with_application_logger(None)
            .renderer(self.renderer(&interrupter))
            .with_interrupter(interrupter)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .launch(learner);
        drop(trained);
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *outcome))
    }

    fn renderer(&self, interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
        if self.args.plain || self.args.json || !std::io::stdout().is_terminal() {
            Box::new(PlainLines::default())
        } else {
            terminal::keep_ctrl_c();
            default_renderer(interrupter.clone(), None)
        }
    }

    /// Writes the adapter of an epoch that is the best so far.
    fn keeper(&self) -> Result<Keep> {
        let path = self.directory.adapter();
        let metadata = AdapterMetadata {
            method: self.config.model.method.to_string(),
            task: self.config.task.name.clone(),
            head: self.subject.head(),
            score: None,
            max_length: self.config.model.max_length,
            base: BaseIdentity {
                name: self.base.name().to_owned(),
                fingerprint: self.base.fingerprint()?,
            },
        };
        let metric = self.judge.metric().to_owned();
        Ok(Box::new(move |tuner, report| {
            let score = Some(Score { metric: metric.clone(), value: report.score });
            native::save(&path, &tuner.model, &AdapterMetadata { score, ..metadata.clone() })?;
            Ok(())
        }))
    }

    fn result(
        &self,
        table: &burn_adapters::TrainedTable,
        progress: &Progress,
        best: EpochReport,
    ) -> Result<RunResult> {
        let (majority, bag_of_words) = match &self.subject {
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
            metric: self.judge.metric().to_owned(),
            score: best.score,
            scores: best.scores,
            judged: self.judge()?,
            majority,
            bag_of_words,
            best_epoch: best.epoch,
            epochs: progress.epochs.len(),
            steps: progress.steps,
            trained_parameters: parameters,
            share_of_base: table.share(parameters),
            seconds_per_step: seconds[seconds.len() / 2],
            seconds: progress.seconds,
            memory_mib: memory::resident_bytes().map(|bytes| bytes / (1 << 20)),
            device: devices::describe(&self.device),
            seed: self.config.seed,
            adapter: self.directory.adapter(),
        })
    }

    /// Scores the kept adapter on the other labeled parts of the task, or writes down what it answers to questions.
    fn judge(&self) -> Result<BTreeMap<&'static str, Map<String, Value>>> {
        if let Judge::Answers(judge) = &*self.judge {
            self.write_answers(judge)?;
        }
        match &self.subject {
            Subject::Texts(rows) => self.judge_other_parts(rows),
            Subject::Questions(_) => Ok(BTreeMap::new()),
        }
    }

    /// The adapter of the best epoch, read back from its file.
    fn kept(&self) -> Result<Tuner> {
        let bert = burn_bert::load_weights(&self.bert_config, self.base.directory(), &self.device)?;
        let (model, _) = native::load(&self.directory.adapter(), bert, &self.base.fingerprint()?)?;
        Ok(Tuner { model })
    }

    fn write_answers(&self, judge: &AnswerJudge) -> Result<()> {
        let batch_size = self.config.training.batch_size;
        let scored = inference::run(&self.kept()?, &self.validation, batch_size, &self.device);
        let found = judge.answers(&scored);
        let predictions = answers::predictions(&judge.squad, &found);
        let texts = [
            (self.directory.predictions(), answers::predictions_json(&predictions)),
            (self.directory.n_best_predictions(), answers::n_best_json(&judge.squad, &found)),
        ];
        texts.iter().try_for_each(|(path, text)| write_atomically(path, text.as_bytes()))
    }

    fn judge_other_parts(
        &self,
        rows: &TaskRows,
    ) -> Result<BTreeMap<&'static str, Map<String, Value>>> {
        if rows.judged_by.is_empty() {
            return Ok(BTreeMap::new());
        }
        let tuner = self.kept()?;
        let mut judged = BTreeMap::new();
        for (split, examples) in &rows.judged_by {
            let encoded = rows::encode(&self.encoder, &self.bert_config, examples)?;
            let batch_size = self.config.training.batch_size;
            let scored = inference::run(&tuner, &encoded, batch_size, &self.device);
            if let Some(scores) = rows::scores(&rows.task, scored.iter()) {
                judged.insert(split.name(), scores);
            }
        }
        Ok(judged)
    }

    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result is told")]
    fn tell(&self, result: &RunResult) -> Result<()> {
        if self.args.json {
            println!("{}", serde_json::to_string(result)?);
            return Ok(());
        }
        let bytes =
            std::fs::metadata(&result.adapter).context("looking at the adapter file")?.len();
        let percent = |score: f64| format!("{:.1}", 100.0 * score);
        println!(
            "{} {} {} on the validation rows (epoch {} of {})",
            result.task,
            result.metric,
            percent(result.score),
            result.best_epoch,
            result.epochs
        );
        for (split, scores) in &result.judged {
            if let Some(score) = scores.get(&result.metric).and_then(Value::as_f64) {
                let score = percent(score);
                println!("{} {} {score} on the {split} rows", result.task, result.metric);
            }
        }
        let bag = result
            .bag_of_words
            .map_or(String::new(), |score| format!(", a bag of words {}", percent(score)));
        if let Some(majority) = result.majority {
            println!("for comparison: the commonest answer {}{bag}", percent(majority));
        }
        println!(
            "adapter {} ({:.1} MB, {:.2} % of the base's parameters)",
            result.adapter.display(),
            bytes as f64 / 1e6,
            100.0 * result.share_of_base
        );
        if let Subject::Questions(_) = self.subject {
            eprintln!("\nits answers: {}", self.directory.predictions().display());
            return Ok(());
        }
        eprintln!(
            "\nuse it: echo 'some text' | cargo xtask trainer predict {}",
            result.adapter.display()
        );
        Ok(())
    }
}

/// The validation scores of the commonest answer and of a bag of words.
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

/// Ctrl-C and a polite kill end the step, save, and leave; a second one leaves at once.
#[expect(clippy::exit, reason = "whoever asks twice wants to leave now")]
fn stop_on_signals(interrupter: &Interrupter) -> Result<()> {
    let interrupter = interrupter.clone();
    ctrlc::set_handler(move || {
        if interrupter.should_stop() {
            std::process::exit(130);
        }
        interrupter.stop(Some("asked to stop"));
    })
    .map_err(|error| anyhow!("catching Ctrl-C: {error}"))
}
