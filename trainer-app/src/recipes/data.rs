//! `trainer data`: the tasks, their files fetched and checked.

use std::path::Path;

use anyhow::{Context, Result, bail};
use glue_data::task::{Source, TaskSpec};
use glue_data::tasks;
use serde_json::json;

use crate::cli::DataCommand;
use crate::fetch::{self, Download};

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
        DataCommand::Fetch { tasks, data, mirror } => chosen(tasks)?
            .into_iter()
            .try_for_each(|spec| fetch_task(spec, data, mirror.as_deref())),
        DataCommand::Check { tasks, data } => check(&chosen(tasks)?, data),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static TaskSpec>> {
    if names.iter().any(|name| name == "all") {
        return Ok(tasks::all().filter(|spec| spec.source.is_some()).collect());
    }
    names.iter().map(|name| Ok(tasks::lookup(name)?)).collect()
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
fn list(as_json: bool) {
    if as_json {
        for spec in tasks::all() {
            let rows: serde_json::Map<_, _> = spec
                .parts
                .iter()
                .map(|part| (part.split.name().to_owned(), json!(part.rows)))
                .collect();
            let metrics: Vec<_> = spec.metrics.iter().map(|metric| metric.name()).collect();
            println!(
                "{}",
                json!({ "task": spec.name, "title": spec.title, "labels": spec.classes, "metrics": metrics, "rows": rows })
            );
        }
        return;
    }
    println!(
        "{:<23} {:>8} {:>11} {:>8} {:>7}  {:<9} what it asks",
        "task", "training", "validation", "test", "labels", "metric"
    );
    for spec in tasks::all() {
        let rows =
            |split| spec.part(split).map_or_else(|_| "-".to_owned(), |part| part.rows.to_string());
        let labels = match spec.n_classes() {
            0 => "score".to_owned(),
            classes => classes.to_string(),
        };
        println!(
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

#[expect(clippy::print_stderr, reason = "what is fetched is told")]
fn fetch_task(spec: &TaskSpec, data: &Path, mirror: Option<&str>) -> Result<()> {
    let (url, into) = match spec.source {
        None => {
            eprintln!("{} is part of this program", spec.name);
            return Ok(());
        }
        Some(Source::ByHand { how }) => bail!("{} cannot be fetched: {how}", spec.name),
        Some(Source::Zip { url }) => (url, data.to_owned()),
        Some(Source::ZipOfFiles { url }) => (url, data.join(spec.directory)),
    };
    let file = url.rsplit('/').next().unwrap_or(url);
    let url = match mirror {
        Some(mirror) => format!("{}/{file}", mirror.trim_end_matches('/')),
        None => url.to_owned(),
    };
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    let archive = data.join(file);
    eprintln!("{}: {url}", spec.name);
    fetch::fetch(&Download { url, ..Download::default() }, &archive)?;
    fetch::unzip(&archive, &into)?;
    check(&[spec], data)?;
    std::fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))
}

/// Reads every file of some tasks and compares its rows with what was published.
#[expect(clippy::print_stdout, reason = "the comparison is what was asked for")]
fn check(specs: &[&TaskSpec], data: &Path) -> Result<()> {
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
                    println!("ok     {file}: {} rows  {}", rows.len(), labels.join(", "));
                }
                Ok(rows) => {
                    wrong += 1;
                    println!("WRONG  {file}: {} rows, {} were published", rows.len(), part.rows);
                }
                Err(error) => {
                    wrong += 1;
                    println!("WRONG  {file}: {error}");
                }
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} files are not as they were published");
    }
    Ok(())
}
