//! `trainer data check`: compares the files of a task with the published ones.

use std::path::Path;

use anyhow::{Result, bail};
use glue_data::tasks::squad::{self, Squad};
use glue_data::{DataError, PublishedError, PublishedTask, RowCounts, SquadError};

/// Reads every file of some tasks and compares the number of rows with the published one.
pub(super) fn check(tasks: &[&dyn PublishedTask], data: &Path) -> Result<()> {
    report(wrong_files(tasks, data))
}

pub(super) fn report(wrong: usize) -> Result<()> {
    if wrong > 0 {
        let files = if wrong == 1 { "file is" } else { "files are" };
        bail!("{wrong} {files} missing or different from the published ones");
    }
    Ok(())
}

/// The number of files that differ from the published ones; a line is printed for each file.
pub(super) fn wrong_files(tasks: &[&dyn PublishedTask], data: &Path) -> usize {
    let mut wrong = 0;
    for task in tasks {
        for part in task.files() {
            let file = format!("{}/{}", task.directory(), part.file);
            match task.count(Some(data), part.split) {
                Ok(RowCounts { rows, by_label }) if rows == part.rows => {
                    let labels =
                        by_label.into_iter().map(|(label, count)| format!("{label} {count}"));
                    outln!("ok     {file}: {rows} rows  {}", labels.collect::<Vec<_>>().join(", "));
                }
                Ok(RowCounts { rows, .. }) => {
                    wrong += 1;
                    outln!("WRONG  {file}: {rows} rows, expected {}", part.rows);
                }
                Err(error) => {
                    wrong += 1;
                    outln!("{}", fault(&file, &error));
                }
            }
        }
    }
    wrong
}

/// The line of a file that cannot be read.
fn fault(file: &str, error: &DataError) -> String {
    match error {
        DataError::Published(PublishedError::MissingFile { .. })
        | DataError::Squad(SquadError::MissingFile { .. }) => format!("missing {file}"),
        error => format!("WRONG  {file}: {error}"),
    }
}

pub(super) fn wrong_files_of_squad(data: &Path) -> usize {
    let mut wrong = 0;
    for (split, file, published) in squad::FILES {
        let file = format!("{}/{file}", squad::NAME);
        let found = Squad::read_split(Some(data), split);
        match found.map(|squad| (squad.questions.len(), squad.misplaced_answers())) {
            Ok((questions, misplaced)) if questions == published => {
                outln!("ok     {file}: {questions} questions  {misplaced} answers misplaced");
            }
            Ok((questions, _)) => {
                wrong += 1;
                outln!("WRONG  {file}: {questions} questions, expected {published}");
            }
            Err(error) => {
                wrong += 1;
                outln!("{}", fault(&file, &error));
            }
        }
    }
    wrong
}
