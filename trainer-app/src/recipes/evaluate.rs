//! `trainer evaluate`: an adapter's scores on labeled rows.

use anyhow::{Context, Result};
use glue_data::{Example, tasks};
use serde_json::json;

use crate::cli::EvaluateArgs;
use crate::recipes::inference::Answerer;
use crate::rows;

/// Runs `trainer evaluate`.
///
/// # Errors
/// An adapter, base or rows that cannot be read, or rows without labels.
#[expect(clippy::print_stdout, reason = "the scores are what was asked for")]
pub fn run(args: &EvaluateArgs) -> Result<()> {
    let answerer = Answerer::load(&args.adapter, &args.inference)?;
    let (examples, what) = read(args, &answerer)?;
    let judged = answerer.answer(&examples)?;
    let scores = rows::scores(&answerer.task, judged.iter())
        .context("these rows have no labels to judge by")?;
    if args.inference.json {
        println!(
            "{}",
            json!({ "task": answerer.task.name, "rows": examples.len(), "on": what, "scores": scores })
        );
    } else {
        println!("{}: {} rows ({what})", answerer.task.name, examples.len());
        for (metric, score) in &scores {
            println!("  {metric:<10} {:.4}", score.as_f64().unwrap_or(f64::NAN));
        }
    }
    Ok(())
}

fn read(args: &EvaluateArgs, answerer: &Answerer) -> Result<(Vec<Example>, String)> {
    if let (Some(path), Some(text), Some(label)) = (&args.input, &args.columns.text, &args.label) {
        let text2 = args.columns.text2.as_deref();
        let rows = tasks::custom::read_labeled(path, text, text2, label, &answerer.task.labels)?;
        return Ok((rows, path.display().to_string()));
    }
    Ok((answerer.read_split(&args.split, args.data.as_deref())?, args.split.clone()))
}
