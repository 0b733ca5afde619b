//! `trainer data check`: compares the files of a task with the published ones.

use std::path::Path;

use anyhow::{Result, bail};
use glue_data::tasks::squad::{self, Squad};
use glue_data::{DataError, PublishedError, SquadError, TaskSpec};

/// Reads every file of some tasks and compares the number of rows with the published one.
pub(super) fn check(specs: &[&TaskSpec], data: &Path) -> Result<()> {
    report(wrong_files(specs, data))
}

pub(super) fn report(wrong: usize) -> Result<()> {
    if wrong > 0 {
        let files = if wrong == 1 { "file is" } else { "files are" };
        bail!("{wrong} {files} missing or different from the published ones");
    }
    Ok(())
}

/// The number of files that differ from the published ones; a line is printed for each file.
pub(super) fn wrong_files(specs: &[&TaskSpec], data: &Path) -> usize {
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
                    outln!("WRONG  {file}: {} rows, expected {}", rows.len(), part.rows);
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
