//! `trainer train`: one task on one base, from what was typed to what is told.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use burn::train::renderer::default_renderer;
use serde_json::Value;

use crate::artifacts::RunDirectory;
use crate::cli::TrainArgs;
use crate::devices;
use crate::ending::Ending;
use crate::learner::plain_lines::PlainLines;
use crate::run::{Run, RunResult, Watch};
use crate::run_config::RunConfig;
use crate::shared::Shared;
use crate::stop::Stop;
use crate::terminal;

/// Runs `trainer train`.
///
/// # Errors
/// Whatever keeps the run from ending with a score; what was saved until then stays.
#[expect(clippy::print_stderr, reason = "what trains is told before it starts")]
pub fn run(args: &TrainArgs) -> Result<Ending> {
    let resumed =
        args.resume.as_ref().map(|directory| resume(args, directory.as_deref())).transpose()?;
    let (config, resumed) = match resumed {
        Some((config, directory)) => (config, Some(directory)),
        None => (RunConfig::resolve(args)?, None),
    };
    let asked = args.device.as_ref().or(args.devices.as_ref()).unwrap_or(&config.device);
    let (device, replicas) = devices::resolve_all(asked)?;
    let mut shared = Shared::new(device).with_replicas(replicas);
    eprintln!("{}", shared.task(&config)?.subject.describe());
    let run = Run::prepare(config.clone(), &mut shared)?;
    eprintln!("\n{}", run.table());

    // The directory is made only now, so that nothing that was mistyped leaves one behind.
    let directory = if let Some(directory) = resumed {
        eprintln!("going on from the newest checkpoint");
        directory
    } else {
        let name = config.default_name();
        let directory =
            RunDirectory::create(&args.runs, &config.task.name, args.name.as_deref(), &name)?;
        config.write(&directory.config())?;
        directory
    };
    eprintln!("run {}\n", directory.root().display());
    if let Some(result) = run.train(&directory, &watch(args)?)? {
        tell(&result, &directory, args.json)?;
        return Ok(Ending::Done);
    }
    let root = directory.root().display();
    eprintln!("stopped; go on with: cargo xtask train --resume {root}");
    Ok(Ending::Stopped)
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

/// The dashboard on a terminal, plain lines elsewhere.
fn watch(args: &TrainArgs) -> Result<Watch> {
    let plain = args.plain || args.json || !std::io::stdout().is_terminal();
    Ok(Watch {
        renderer: Box::new(move |interrupter| {
            if plain {
                Box::new(PlainLines::default())
            } else {
                terminal::keep_ctrl_c();
                default_renderer(interrupter.clone(), None)
            }
        }),
        stop: Stop::on_signals()?,
        checkpoint_every: Duration::from_secs(args.checkpoint_every),
        give_up_after: None,
    })
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result is told")]
fn tell(result: &RunResult, directory: &RunDirectory, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(result)?);
        return Ok(());
    }
    let bytes = std::fs::metadata(&result.adapter).context("looking at the adapter file")?.len();
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
    if directory.predictions().is_file() {
        eprintln!("\nits answers: {}", directory.predictions().display());
        return Ok(());
    }
    eprintln!(
        "\nuse it: echo 'some text' | cargo xtask trainer predict {}",
        result.adapter.display()
    );
    Ok(())
}
