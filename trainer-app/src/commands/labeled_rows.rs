//! The labeled rows on which `trainer evaluate` and `trainer ablate` evaluate an adapter.

use std::path::Path;

use anyhow::Result;
use burn_adapters::file::native;
use glue_data::Example;
use glue_data::tasks::custom;

use crate::cli::LabeledRowsArgs;
use crate::commands::texts;
use crate::inference::adapter_task::AdapterTask;
use crate::run_config::label_columns;

/// Reads the rows, and returns them with the task that the adapter is evaluated on and the name of the rows.
///
/// # Errors
/// An adapter file or rows that cannot be read, or rows that are not of the adapter's task.
pub(super) fn read(
    args: &LabeledRowsArgs,
    adapter: &Path,
) -> Result<(AdapterTask, Vec<Example>, String)> {
    let metadata = native::read_header(adapter)?.metadata;
    if let (Some(path), Some(text)) = (&args.input, &args.columns.text) {
        texts::input_of_columns(&args.columns, metadata.input)?;
        let task = AdapterTask::of(&metadata)?;
        let text2 = args.columns.text2.as_deref();
        let labels =
            label_columns(args.label.as_deref(), args.label_separator.as_deref(), &args.labels);
        let (rows, note) = custom::read_labeled(path, text, text2, &labels, &task.task.kind)?;
        if let Some(note) = note {
            noteln!("note: {note}");
        }
        return Ok((task, rows, path.display().to_string()));
    }
    let task = AdapterTask::of_published(&metadata, args.task.as_deref())?;
    let rows = task.read(&args.split, args.data.as_deref())?;
    Ok((task, rows, args.split.clone()))
}
