//! `trainer train`: trains an adapter for one task on one base.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use burn::train::renderer::default_renderer;
use burn_adapters::HeadKind;
use burn_adapters::file::native::{self, TextInput};
use burn_bert::{BertConfig, Encoder};
use serde_json::{Value, json};

use crate::base::Base;
use crate::cli::{TrainArgs, TrainJob};
use crate::exit::ExitStatus;
use crate::learner::log_renderer::LogRenderer;
use crate::learner::run_directory::RunDirectory;
use crate::run::resource_cache::ResourceCache;
use crate::run::{Run, RunOptions, RunResult};
use crate::run_config::{RunConfig, needs_base};
use crate::system::devices;
use crate::system::stop::Stop;
use crate::task_data::rows;
use crate::terminal;
use crate::terminal::hints;

/// Runs `trainer train`.
///
/// # Errors
/// Whatever keeps the run from finishing with a score; checkpoints that were saved are kept.
pub fn run(args: &TrainArgs) -> Result<ExitStatus> {
    // First, so that a signal while the base is loaded has its exit code and line.
    let stop = Stop::on_signals(args.json)?;
    let runs = args.runs.as_deref().unwrap_or(Path::new("runs"));
    let (mut config, resumed) = match TrainJob::of(args)? {
        TrainJob::Start(mut config) => {
            if args.config.is_none() && needs_base(&config.model.base) {
                // The default classifier follows from the base's family.
                Base::locate(&config.model.base)?;
                args.fit_to_base(&mut config);
            }
            if !args.model.has("max_length") && args.config.is_none() {
                fit_length(&mut config)?;
            }
            (*config, None)
        }
        TrainJob::Resume { run, device } => {
            let directory = to_resume(runs, run.as_deref())?;
            if directory.is_finished() {
                return finish(&directory, args.json);
            }
            let config = RunConfig::read(&directory.config())?;
            (RunConfig { device: device.unwrap_or(config.device), ..config }, Some(directory))
        }
    };
    let (device, replicas) = devices::resolve_all(&config.device)?;
    let mut shared = ResourceCache::new(device).with_replicas(replicas);
    let data = shared.data(&config)?;
    noteln!("{}", data.source.describe());
    let base = shared.base(&config.model)?;
    let has_default_classifier = resumed.is_none()
        && args.config.is_none()
        && !["pooling", "head_hidden", "head_norm"].iter().any(|field| args.model.has(field));
    if has_default_classifier && base.bert().pooler().is_none() {
        config.model.replace_pooler();
    }
    let (rows, max_length) =
        ([&data.prepared.train, &data.prepared.validation], config.model.max_length);
    let note = if config.task.labels_words() {
        rows::window_note(rows.iter().map(|rows| rows.cut()).sum(), max_length)
    } else {
        rows::truncation_note(rows, max_length, &base.config)
    };
    if let Some(note) = note {
        noteln!("{note}");
    }
    let run = Run::prepare(config.clone(), &mut shared)?;
    noteln!("classifier: {}", config.model.classifier(config.task.reads_tokens()));
    noteln!("learning rate: {}", learning_rate(&config, &base.config));
    for note in run.size_notes() {
        noteln!("note: {note}");
    }
    noteln!("\n{}", run.table());

    // The directory is created only now, so that wrong arguments leave none behind.
    let watch = watch(args, stop);
    let directory = if let Some(directory) = resumed {
        directory
    } else {
        let (task, name) = (&config.task.name, config.default_name());
        RunDirectory::create(runs, task, args.name.as_deref(), &name, &config)?
    };
    let root = directory.root();
    if args.name.is_none() && args.resume.is_none() && !root.ends_with(config.default_name()) {
        noteln!(
            "note: there is already a run {}; a number is added to the name of this one",
            config.default_name()
        );
    }
    noteln!("run {}\n", root.display());
    if let Some(result) = run.train(&directory, &watch)? {
        print_summary(&result, &directory, args.json)?;
        return Ok(ExitStatus::Done);
    }
    let root = directory.root().display();
    if args.json {
        outln!("{}", json!({ "status": "stopped", "run": root.to_string() }));
    }
    noteln!("stopped; resume with: {} train --resume {root}", hints::program());
    Ok(ExitStatus::Interrupted)
}

/// The learning rate, with its source if it is the default of the base's family.
fn learning_rate(config: &RunConfig, base: &BertConfig) -> String {
    let rate = config.training.learning_rate;
    #[expect(clippy::float_cmp, reason = "the value is compared with the one that is written")]
    let published = config.fine_tuning(Some(base)).filter(|it| it.learning_rate == rate);
    match published {
        Some(published) => format!("{rate:e} ({})", published.source),
        None => format!("{rate:e}"),
    }
}

/// Lowers the maximum length to the number of positions of the base, if that is less than the default.
fn fit_length(config: &mut RunConfig) -> Result<()> {
    let model = &mut config.model;
    if let Some(positions) = Base::positions_in(&model.base)?
        && positions < model.max_length
    {
        noteln!(
            "texts are truncated to {positions} tokens, the number of positions of {}",
            model.base
        );
        model.max_length = positions;
    }
    Ok(())
}

/// The directory of the run to resume, locked.
fn to_resume(runs: &Path, directory: Option<&Path>) -> Result<RunDirectory> {
    match directory {
        Some(directory) => RunDirectory::open(directory)?.locked(),
        None => RunDirectory::newest_unfinished(runs),
    }
}

/// Prints the result of a finished run, and removes checkpoints that a killed process left.
fn finish(directory: &RunDirectory, json: bool) -> Result<ExitStatus> {
    directory.remove_leftovers()?;
    directory.remove_checkpoints()?;
    let path = directory.result();
    let result = RunResult::read(&path)?;
    noteln!("{} is finished; its result is in {}", directory.root().display(), path.display());
    print_summary(&result, directory, json)?;
    Ok(ExitStatus::Done)
}

/// The dashboard on a terminal that is large enough for it, otherwise plain log lines.
fn watch(args: &TrainArgs, stop: Stop) -> RunOptions {
    let plain = args.plain || args.json || !has_room_for_dashboard();
    RunOptions {
        renderer: Box::new(move |interrupter, epochs_done| {
            if plain {
                Box::new(LogRenderer::default())
            } else {
                terminal::enable_ctrl_c();
                default_renderer(interrupter.clone(), Some(epochs_done))
            }
        }),
        stop,
        checkpoint_every: Duration::from_secs(args.checkpoint_every),
        give_up_after: None,
        notify: Arc::new(|message| noteln!("{message}")),
    }
}

fn has_room_for_dashboard() -> bool {
    const COLUMNS: u16 = 60;
    const ROWS: u16 = 16;
    let moves_the_cursor = std::env::var("TERM").is_ok_and(|kind| kind != "dumb") || cfg!(windows);
    if !std::io::stdout().is_terminal() || !moves_the_cursor {
        return false;
    }
    let size = terminal_size::terminal_size_of(std::io::stdout());
    let has_room = size.is_some_and(|(width, height)| width.0 >= COLUMNS && height.0 >= ROWS);
    if !has_room {
        noteln!(
            "plain log lines: the dashboard needs a terminal of {COLUMNS} columns and {ROWS} rows"
        );
    }
    has_room
}

/// The scores of the baselines by name.
fn baselines(result: &RunResult) -> [(&'static str, Option<f64>); 3] {
    [
        ("majority class", result.majority),
        ("bag of words", result.bag_of_words),
        ("most frequent tag of each word", result.word_tags),
    ]
}

/// A baseline that is as good as the adapter, unless both are perfect.
fn baseline_reached(result: &RunResult) -> Option<&'static str> {
    let is_reached =
        |baseline: Option<f64>| baseline.is_some_and(|baseline| result.score <= baseline);
    // 1 is the highest value of every metric that has a baseline.
    let (name, _) =
        baselines(result).into_iter().rev().find(|(_, baseline)| is_reached(*baseline))?;
    (result.score < 1.0).then_some(name)
}

fn print_summary(result: &RunResult, directory: &RunDirectory, json: bool) -> Result<()> {
    if json {
        let mut line = serde_json::to_value(result)?;
        line["status"] = json!("done");
        outln!("{line}");
        return Ok(());
    }
    let bytes =
        std::fs::metadata(&result.adapter).context("reading the size of the adapter file")?.len();
    outln!(
        "{} {} {} on the validation rows (epoch {} of {})",
        result.task,
        result.metric,
        terminal::score(result.score),
        result.best_epoch,
        result.epochs
    );
    for (split, scores) in &result.eval_scores {
        if let Some(score) = scores.get(&result.metric).and_then(Value::as_f64) {
            let score = terminal::score(score);
            outln!("{} {} {score} on the {split} rows", result.task, result.metric);
        }
    }
    let compared: Vec<String> = baselines(result)
        .into_iter()
        .filter_map(|(name, score)| Some(format!("{name} {}", terminal::score(score?))))
        .collect();
    if !compared.is_empty() {
        outln!("for comparison: {}", compared.join(", "));
    }
    if let Some(name) = baseline_reached(result) {
        noteln!(
            "note: the score is not above that of the {name}; more --epochs, another --learning-rate or more training \
             rows may help"
        );
    }
    outln!(
        "adapter {} ({:.1} MB, {:.2} % of the base's parameters)",
        result.adapter.display(),
        bytes as f64 / 1e6,
        100.0 * result.share_of_base
    );
    let adapter = hints::path(&result.adapter);
    if directory.predictions().is_file() {
        noteln!("\npredictions: {}", directory.predictions().display());
        hints::next(&[(
            format!("adapter inspect {adapter}"),
            "show the method, sizes, score and base of the adapter file",
        )]);
        return Ok(());
    }
    let metadata = native::read_header(&result.adapter)?.metadata;
    let predicts = match (metadata.head, metadata.input) {
        (HeadKind::Regression, Some(TextInput::Pair)) => {
            "predict the scores of pairs that you type, one per line, with a tab between the texts; Ctrl-D ends"
        }
        (HeadKind::Regression, _) => {
            "predict the scores of texts that you type, one per line; Ctrl-D ends"
        }
        (_, Some(TextInput::Pair)) => {
            "label pairs that you type, one per line, with a tab between the texts; Ctrl-D ends"
        }
        (HeadKind::TokenClassification { .. }, _) => {
            "find entities in texts that you type, one per line; Ctrl-D ends"
        }
        _ => "label texts that you type, one per line; Ctrl-D ends",
    };
    hints::next(&[
        (format!("predict {adapter}"), predicts),
        (
            format!("adapter inspect {adapter}"),
            "show the method, labels, score and base of the adapter file",
        ),
    ]);
    Ok(())
}
