//! `trainer data`: the tasks, their files fetched and checked.

mod fetching;

use std::path::Path;

use anyhow::{Result, bail};
use glue_data::task::TaskSpec;
use glue_data::tasks;
use serde_json::json;

use crate::cli::DataCommand;
use crate::ending::UsageError;
use crate::fetch::Downloader;

/// Runs `trainer data`.
///
/// # Errors
/// A task nobody knows, a file that cannot be fetched, or one that is not as it was published.
pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { json } => {
            list(*json);
            Ok(())
        }
        DataCommand::Fetch { tasks, data, mirror } => {
            let place = fetching::Place { data, mirror: mirror.as_deref() };
            let all = tasks.iter().any(|name| name == "all");
            fetching::run(&chosen(tasks)?, all, place, &Downloader::default())
        }
        DataCommand::Check { tasks, data } => check(&chosen(tasks)?, data),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static TaskSpec>> {
    if names.iter().any(|name| name == "all") {
        return Ok(tasks::all().filter(|spec| spec.source.is_some()).collect());
    }
    let lookup =
        |name: &String| tasks::lookup(name).map_err(|error| UsageError::new(error.to_string()));
    names.iter().map(lookup).collect()
}

fn list(as_json: bool) {
    if as_json {
        for spec in tasks::all() {
            let rows: serde_json::Map<_, _> = spec
                .parts
                .iter()
                .map(|part| (part.split.name().to_owned(), json!(part.rows)))
                .collect();
            let metrics: Vec<_> = spec.metrics.iter().map(|metric| metric.name()).collect();
            outln!(
                "{}",
                json!({ "task": spec.name, "title": spec.title, "labels": spec.classes, "metrics": metrics, "rows": rows })
            );
        }
        return;
    }
    outln!(
        "{:<23} {:>8} {:>11} {:>8} {:>7}  {:<9} what it asks",
        "task",
        "training",
        "validation",
        "test",
        "labels",
        "metric"
    );
    for spec in tasks::all() {
        let rows =
            |split| spec.part(split).map_or_else(|_| "-".to_owned(), |part| part.rows.to_string());
        let labels = match spec.n_classes() {
            0 => "score".to_owned(),
            classes => classes.to_string(),
        };
        outln!(
            "{:<23} {:>8} {:>11} {:>8} {labels:>7}  {:<9} {}",
            spec.name,
            rows(glue_data::Split::Train),
            rows(glue_data::Split::Validation),
            rows(glue_data::Split::Test),
            spec.metrics[0].name(),
            spec.title
        );
    }
}

/// Reads every file of some tasks and compares its rows with what was published.
pub(super) fn check(specs: &[&TaskSpec], data: &Path) -> Result<()> {
    let mut wrong = 0;
    for spec in specs {
        for part in spec.parts {
            let file = format!("{}/{}", spec.directory, part.file);
            match spec.read(Some(data), part.split) {
                Ok(rows) if rows.len() == part.rows => {
                    let labels: Vec<_> = spec
                        .count_labels(&rows)
                        .into_iter()
                        .map(|(label, count)| format!("{label} {count}"))
                        .collect();
                    outln!("ok     {file}: {} rows  {}", rows.len(), labels.join(", "));
                }
                Ok(rows) => {
                    wrong += 1;
                    outln!("WRONG  {file}: {} rows, {} were published", rows.len(), part.rows);
                }
                Err(error) => {
                    wrong += 1;
                    outln!("WRONG  {file}: {error}");
                }
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} files are not as they were published");
    }
    Ok(())
}
