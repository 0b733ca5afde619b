//! Scores of one label a row: GLUE's submissions, and labels of a user's own files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use glue_data::{
    Label, LabelColumns, LabelPairs, Split, Task, check_prediction_count, read_predictions, tasks,
};
use serde_json::{Map, Value, json};

use crate::cli::ScoreArgs;

/// Scores predictions for a file of a published task.
pub(super) fn of_task(name: &str, gold: &Path, args: &ScoreArgs) -> Result<()> {
    let spec = tasks::lookup(name)?;
    // The file of the gold labels is known by its name, and one of another name has the columns of the validation file.
    let of_name = spec.parts.iter().find(|part| gold.ends_with(part.file));
    let part = match of_name {
        Some(part) => part,
        None => spec.part(Split::Validation)?,
    };
    if part.corpus.is_some() {
        bail!(
            "{name} is split by this program; score its predictions with --label in place of --task"
        );
    }
    if part.label.is_none() {
        bail!(
            "{}: the labels of the {} rows of {name} are not published",
            gold.display(),
            part.split.name()
        );
    }
    let bytes =
        std::fs::read(gold).with_context(|| format!("{} cannot be read", gold.display()))?;
    let rows = spec.parse(part.split, gold, &bytes)?;
    let labels: Option<Vec<Label>> = rows.into_iter().map(|row| row.label).collect();
    let labels = labels.with_context(|| format!("{} has rows without a label", gold.display()))?;
    let task = spec.task();
    let predictions = read_predictions(&args.predictions, &task.kind)?;
    check_prediction_count(&args.predictions, predictions.len(), labels.len())?;
    print(&task, &labels, &predictions, args.json);
    Ok(())
}

/// Scores predictions for the labels of a table.
pub(super) fn of_table(gold: &Path, column: &str, args: &ScoreArgs) -> Result<()> {
    let column = column.to_owned();
    let columns = match args.label_separator.clone() {
        Some(separator) => LabelColumns::Separated { column, separator },
        None => LabelColumns::One { column },
    };
    let LabelPairs { task, labels, predictions } =
        LabelPairs::read(gold, &columns, &args.predictions)?;
    print(&task, &labels, &predictions, args.json);
    Ok(())
}

fn print(task: &Task, labels: &[Label], predictions: &[Label], as_json: bool) {
    let scores = task.scores(predictions, labels);
    if as_json {
        let scores: Map<String, Value> =
            scores.iter().map(|(metric, score)| (metric.name().to_owned(), json!(score))).collect();
        outln!("{}", json!({ "kind": "labels", "rows": labels.len(), "scores": scores }));
    } else {
        outln!("{} rows", labels.len());
        for (metric, score) in scores {
            outln!("  {:<16} {:>7.3}", metric.name(), 100.0 * score);
        }
    }
}
