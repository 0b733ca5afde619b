//! `trainer evaluate`: an adapter's scores on labeled rows, and what dropping its lowest layers costs and saves.

use anyhow::{Context, Result};
use burn_adapters::Layers;
use burn_adapters::file::native;
use glue_data::{Example, tasks};
use serde_json::{Map, Value, json};

use crate::cli::EvaluateArgs;
use crate::inference::adapter_task::AdapterTask;
use crate::inference::predictor::Predictor;
use crate::inference::texts;
use crate::task_data::rows;

/// What `--drop-layers` is given for a table of every number of layers.
const EACH: &str = "each";

/// Scores, and the time they took.
struct SplitScores {
    scores: Map<String, Value>,
    seconds_per_text: f64,
    cut: usize,
}

/// Runs `trainer evaluate`.
///
/// # Errors
/// An adapter, base or rows that cannot be read, or rows without labels.
pub fn run(args: &EvaluateArgs) -> Result<()> {
    // The rows before the base, whose weights take longest.
    let (task, examples, what) = read(args)?;
    let mut predictor = Predictor::load(&args.adapter, &args.inference)?;
    predictor.task = task;
    let each = args.compose.drop_layers.as_deref() == Some(EACH);
    predictor.compose(
        args.compose.stack_on.as_deref(),
        args.compose.drop_layers.as_deref().filter(|_| !each),
    )?;
    if each {
        return tell_each(&mut predictor, &examples, &what, args.inference.json);
    }
    let SplitScores { scores, seconds_per_text, cut } = score_rows(&predictor, &examples)?;
    rows::report_truncation(cut, examples.len(), predictor.metadata.max_length);
    if args.inference.json {
        outln!(
            "{}",
            json!({
                "task": predictor.metadata.task,
                "rows": examples.len(),
                "on": what,
                "scores": scores,
                "seconds_per_text": seconds_per_text,
            })
        );
    } else {
        outln!("{}: {} rows ({what})", predictor.metadata.task, examples.len());
        for (metric, score) in &scores {
            outln!("  {metric:<10} {:.4}", score.as_f64().unwrap_or(f64::NAN));
        }
        outln!("  {:<10} {:.2}", "ms a text", 1e3 * seconds_per_text);
    }
    Ok(())
}

/// Judges the adapter without its lowest 0, 1, … layers.
fn tell_each(
    predictor: &mut Predictor,
    examples: &[Example],
    what: &str,
    as_json: bool,
) -> Result<()> {
    // The first pass of a process is slower than those that follow.
    predictor.predict(&examples[..examples.len().min(predictor.batch_size())])?;
    let mut by_layers = Vec::new();
    for layers in 0..=predictor.n_layers() {
        predictor.drop_layers(Layers::Only((0..layers).collect()));
        by_layers.push((layers, score_rows(predictor, examples)?));
    }
    // AblatedLayers any layer dropped there is a row at least; all have the same texts.
    rows::report_truncation(by_layers[0].1.cut, examples.len(), predictor.metadata.max_length);
    if as_json {
        let dropped = by_layers.into_iter().map(|(layers, judged)| {
            json!({
                "layers": layers,
                "scores": judged.scores,
                "seconds_per_text": judged.seconds_per_text,
            })
        });
        let dropped: Vec<_> = dropped.collect();
        outln!(
            "{}",
            json!({ "task": predictor.metadata.task, "rows": examples.len(), "on": what, "dropped": dropped })
        );
        return Ok(());
    }
    outln!("{}: {} rows ({what})", predictor.metadata.task, examples.len());
    let metrics: Vec<_> = by_layers[0].1.scores.keys().collect();
    out!("  {:<15}", "layers dropped");
    for metric in &metrics {
        out!(" {metric:>10}");
    }
    outln!(" {:>10}", "ms a text");
    for (layers, judged) in &by_layers {
        let dropped = if *layers == 0 { "none".to_owned() } else { format!("0..{layers}") };
        out!("  {dropped:<15}");
        for metric in &metrics {
            out!(" {:>10.4}", judged.scores[*metric].as_f64().unwrap_or(f64::NAN));
        }
        outln!(" {:>10.2}", 1e3 * judged.seconds_per_text);
    }
    Ok(())
}

fn score_rows(predictor: &Predictor, examples: &[Example]) -> Result<SplitScores> {
    let answers = predictor.predict(examples)?;
    let scores = predictor
        .task
        .scores(&answers.rows)
        .context("these rows have no labels to be scored by")?;
    let seconds_per_text = answers.time.as_secs_f64() / examples.len().max(1) as f64;
    Ok(SplitScores { scores, seconds_per_text, cut: answers.cut })
}

/// The rows that are asked for, with what the adapter is judged as and what the rows are called.
fn read(args: &EvaluateArgs) -> Result<(AdapterTask, Vec<Example>, String)> {
    let metadata = native::read_header(&args.adapter)?.metadata;
    if let (Some(path), Some(text), Some(label)) = (&args.input, &args.columns.text, &args.label) {
        texts::input_of_columns(&args.columns, metadata.input)?;
        let task = AdapterTask::of(&metadata)?;
        let text2 = args.columns.text2.as_deref();
        let rows = tasks::custom::read_labeled(path, text, text2, label, &task.task.kind)?;
        return Ok((task, rows, path.display().to_string()));
    }
    let task = AdapterTask::of_published(&metadata, args.task.as_deref())?;
    let rows = task.read(&args.split, args.data.as_deref())?;
    Ok((task, rows, args.split.clone()))
}
