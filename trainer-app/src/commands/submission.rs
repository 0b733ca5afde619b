//! GLUE's submission files from an adapter, for `predict` and `sweep`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use glue_data::{Split, submission, tasks};

use crate::inference::predictor::Predictor;
use crate::system::files::write_atomically;

/// Whether a task has a submission file for GLUE's server.
pub fn has_one(task: &str) -> bool {
    let has_file = |split: &Split| {
        tasks::lookup(task)
            .and_then(|spec| spec.part(*split))
            .is_ok_and(|part| part.submission.is_some())
    };
    Split::ALL.iter().any(has_file)
}

/// Writes a submission file for every unlabeled split of the adapter's task; an adapter for MNLI also for the
/// diagnostics.
///
/// # Errors
/// A task that is not GLUE's, rows that cannot be read, or files that cannot be written.
pub fn write(predictor: &Predictor, data: Option<&Path>, directory: &Path) -> Result<()> {
    let task = &predictor.task;
    let spec = task.published().context("only GLUE's tasks have submission files")?;
    let mut parts: Vec<_> = Split::ALL.into_iter().map(|split| (spec, split)).collect();
    if spec.name == "mnli" {
        parts.push((tasks::lookup("ax")?, Split::Test));
    }
    // All rows are read before the first file is written.
    let mut read = Vec::new();
    for (spec, split) in parts {
        let Ok(part) = spec.part(split) else { continue };
        let Some(file) = part.submission else { continue };
        let examples = task.read_split(spec, split, data)?;
        if let Some(note) = part.row_count_note(spec, examples.len()) {
            noteln!("warning: {note}, and GLUE's server refuses the submission");
        }
        read.push((file, examples));
    }
    ensure!(!read.is_empty(), "{} is not a GLUE task: it has no submission file", spec.name);
    std::fs::create_dir_all(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    for (file, examples) in read {
        let outputs = predictor.predict(&examples)?.rows;
        let predictions: Vec<_> = outputs.iter().map(|row| task.predict(&row.logits)).collect();
        let path = directory.join(file);
        write_atomically(&path, submission(&task.task.kind, &predictions).as_bytes())?;
        noteln!("{} ({} rows)", path.display(), predictions.len());
    }
    Ok(())
}
