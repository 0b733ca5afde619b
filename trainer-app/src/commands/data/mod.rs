//! `trainer data`: lists the tasks, and downloads and checks their files.

mod checking;
mod fetching;

use anyhow::{Result, bail};
use glue_data::PublishedTask;
use glue_data::tasks::squad;
use glue_data::{Split, tasks};
use serde_json::json;

use crate::cli::DataCommand;
use crate::download::http::Downloader;
use crate::exit::UsageError;
use checking::{report, wrong_files, wrong_files_of_squad};

/// Runs `trainer data`.
///
/// # Errors
/// An unknown task, a file that cannot be downloaded, or one that differs from the published file.
pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { json } => {
            list(*json);
            Ok(())
        }
        DataCommand::Fetch { tasks, data, mirror } => {
            let locations = fetching::Locations { data, mirror: mirror.as_deref() };
            if tasks.iter().any(|name| name == squad::NAME) {
                bail!("squad cannot be downloaded: {}", squad::BY_HAND);
            }
            let all = tasks.iter().any(|name| name == "all");
            fetching::run(&chosen(tasks)?, all, locations, &Downloader::default())
        }
        DataCommand::Check { tasks, data } => {
            // SQuAD is not in the table of tasks.
            let (squad, tasks): (Vec<String>, Vec<String>) =
                tasks.iter().cloned().partition(|name| name == squad::NAME);
            let mut wrong = wrong_files(&chosen(&tasks)?, data);
            if !squad.is_empty() || tasks.iter().any(|name| name == "all") {
                wrong += wrong_files_of_squad(data);
            }
            report(wrong)
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static dyn PublishedTask>> {
    if names.iter().any(|name| name == "all") {
        return Ok(tasks::published().filter(|task| task.source().is_some()).collect());
    }
    let find =
        |name: &String| tasks::find(name).map_err(|error| UsageError::new(error.to_string()));
    names.iter().map(find).collect()
}

fn list(as_json: bool) {
    if as_json {
        for task in tasks::published() {
            let rows = task.files().into_iter();
            let rows: serde_json::Map<_, _> =
                rows.map(|part| (part.split.name().to_owned(), json!(part.rows))).collect();
            outln!(
                "{}",
                json!({
                    "task": task.name(),
                    "title": task.title(),
                    "labels": task.labels(),
                    "metrics": task.metrics(),
                    "rows": rows,
                })
            );
        }
        let rows = squad::FILES.map(|(split, _, rows)| (split.name().to_owned(), json!(rows)));
        let rows: serde_json::Map<_, _> = rows.into_iter().collect();
        outln!(
            "{}",
            json!({ "task": squad::NAME, "title": squad::TITLE, "labels": null, "metrics": squad::METRICS, "rows": rows })
        );
        return;
    }
    line("task", &["training", "validation", "test"].map(str::to_owned), "labels", "metric");
    for task in tasks::published() {
        let rows = |split| task.rows(split).map_or_else(|| "-".to_owned(), |rows| rows.to_string());
        let labels = match task.n_labels() {
            0 => "score".to_owned(),
            labels => labels.to_string(),
        };
        let rows = [Split::Train, Split::Validation, Split::Test].map(rows);
        line(task.name(), &rows, &labels, task.metrics()[0]);
    }
    let rows = |split| {
        let file = squad::FILES.iter().find(|(of, ..)| *of == split);
        file.map_or_else(|| "-".to_owned(), |(_, _, rows)| rows.to_string())
    };
    let rows = [Split::Train, Split::Validation, Split::Test].map(rows);
    line(squad::NAME, &rows, "spans", squad::METRICS[0]);
    noteln!("\n`trainer data list --json` also describes the tasks");
}

fn line(name: &str, [train, validation, test]: &[String; 3], labels: &str, metric: &str) {
    outln!("{name:<24} {train:>8} {validation:>11} {test:>8} {labels:>7}  {metric}");
}
