//! `trainer evaluate`: the scores of an adapter on labeled rows, and the cost and speed-up of AdapterDrop.

use anyhow::{Context, Result};
use burn_adapters::Layers;
use serde_json::{Map, Value, json};

use crate::cli::EvaluateArgs;
use crate::commands::labeled_rows::LabeledRows;
use crate::inference::predictor::Predictor;
use crate::report::score_tables;
use crate::task_data::data_set::PreparedSplit;
use crate::task_data::score_details::ScoreDetails;
use crate::terminal;
use crate::terminal::output::visible;

/// The name of the last line of scores.
const TIME: &str = "ms per text";
/// The value of `--drop-layers` for a table of every number of layers.
const EACH: &str = "each";

/// Scores of some rows, and their speed.
struct SplitScores {
    scores: Map<String, Value>,
    details: Option<ScoreDetails>,
    seconds_per_text: f64,
    cut: usize,
}

/// Runs `trainer evaluate`.
///
/// # Errors
/// An adapter, base or rows that cannot be read, or rows without labels.
pub fn run(args: &EvaluateArgs) -> Result<()> {
    // The rows before the base, which takes longest to load.
    let rows = LabeledRows::read(&args.rows, &args.adapter, args.strict)?;
    let mut predictor = Predictor::load(&args.adapter, &args.inference.options())?;
    let each = args.compose.drop_layers.as_deref() == Some(EACH);
    predictor.compose(
        args.compose.stack_on.as_deref(),
        args.compose.drop_layers.as_deref().filter(|_| !each),
    )?;
    if each {
        predictor.check_dropped(&format!("--drop-layers {EACH}"), &Layers::All)?;
        return print_each(&mut predictor, &rows, args.inference.json);
    }
    let prepared = rows.prepare(&predictor)?;
    let SplitScores { scores, details, seconds_per_text, cut } =
        score_rows(&predictor, &rows, &prepared)?;
    rows.report_long(cut, predictor.metadata.max_length);
    if args.inference.json {
        let mut line = json!({
            "task": predictor.metadata.task,
            "rows": rows.len(),
            "on": rows.name,
            "scores": scores,
            "seconds_per_text": seconds_per_text,
        });
        if let Some(details) = details {
            line["details"] = serde_json::to_value(details)?;
        }
        outln!("{line}");
    } else {
        outln!("{}: {} rows ({})", predictor.metadata.task, rows.len(), rows.name);
        let width = scores.keys().map(String::len).fold(TIME.len(), usize::max);
        for (metric, score) in &scores {
            outln!("  {metric:<width$} {}", terminal::score(score.as_f64().unwrap_or(f64::NAN)));
        }
        outln!("  {TIME:<width$} {:.2}", 1e3 * seconds_per_text);
        if let Some(details) = details {
            out!("{}", visible(&score_tables::text(&details)));
        }
    }
    Ok(())
}

/// Evaluates the adapter without its lowest 0, 1, … layers, and prints the scores.
fn print_each(predictor: &mut Predictor, rows: &LabeledRows, as_json: bool) -> Result<()> {
    let prepared = rows.prepare(predictor)?;
    // The first pass of a process is slower than those that follow.
    predictor.outputs(&prepared.rows.first(predictor.batch_size()))?;
    let mut by_layers = Vec::new();
    for layers in 0..=predictor.n_layers() {
        predictor.drop_layers(Layers::Only((0..layers).collect()));
        by_layers.push((layers, score_rows(predictor, rows, &prepared)?));
    }
    // The first entry, with no layer dropped, always exists; all entries have the same texts.
    rows.report_long(by_layers[0].1.cut, predictor.metadata.max_length);
    if as_json {
        let dropped = by_layers.into_iter().map(|(layers, scored)| {
            json!({
                "layers": layers,
                "scores": scored.scores,
                "seconds_per_text": scored.seconds_per_text,
            })
        });
        let dropped: Vec<_> = dropped.collect();
        outln!(
            "{}",
            json!({ "task": predictor.metadata.task, "rows": rows.len(), "on": rows.name, "dropped": dropped })
        );
        return Ok(());
    }
    outln!("{}: {} rows ({})", predictor.metadata.task, rows.len(), rows.name);
    let metrics: Vec<_> = by_layers[0].1.scores.keys().collect();
    let width = |metric: &str| metric.len().max(10);
    out!("  {:<15}", "layers dropped");
    for metric in &metrics {
        out!(" {metric:>0$}", width(metric));
    }
    outln!(" {:>11}", "ms per text");
    for (layers, scored) in &by_layers {
        let dropped = if *layers == 0 { "none".to_owned() } else { format!("0..{layers}") };
        out!("  {dropped:<15}");
        for metric in &metrics {
            let score = scored.scores[*metric].as_f64().unwrap_or(f64::NAN);
            out!(" {:>1$}", terminal::score(score), width(metric));
        }
        outln!(" {:>11.2}", 1e3 * scored.seconds_per_text);
    }
    Ok(())
}

fn score_rows(
    predictor: &Predictor,
    rows: &LabeledRows,
    PreparedSplit { rows: encoded, evaluator }: &PreparedSplit,
) -> Result<SplitScores> {
    let answers = predictor.outputs(encoded)?;
    let calibration = &predictor.metadata.calibration;
    let scores = evaluator
        .scores(&answers.rows, calibration)
        .context("these rows have no labels to evaluate against")?;
    let details = evaluator.details(&answers.rows, calibration);
    let seconds_per_text = answers.time.as_secs_f64() / rows.len().max(1) as f64;
    Ok(SplitScores { scores, details, seconds_per_text, cut: answers.cut })
}
