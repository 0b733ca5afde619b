//! The end of `trainer sweep`: results, failures, and what to do next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn_bert::Precision;
use serde_json::json;

use super::cells::Sweep;
use super::running::Progress;
use crate::commands::submission;
use crate::exit::ExitStatus;
use crate::inference::predictor::{InferenceOptions, Predictor};
use crate::sweep::cell::Cell;
use crate::sweep::entries::Entries;
use crate::sweep::entry::{CellEnd, Entry};
use crate::sweep::{summary, table};
use crate::terminal::hints;

/// The number of cells by status.
struct Counts {
    done: usize,
    collapsed: usize,
    failed: usize,
    left: usize,
}

/// The cell of a task with the best score, and the one with the best score that has an adapter file.
#[derive(Default)]
struct Best<'a> {
    of_all: Option<(&'a Cell, f64)>,
    kept: Option<(&'a Cell, f64, PathBuf)>,
}

impl Sweep<'_> {
    /// Prints the results, and writes the submission files if they were requested.
    pub(super) fn conclude(&self, entries: &Entries, progress: &Progress) -> Result<ExitStatus> {
        let counts = self.counts(entries);
        let best = self.best(entries);
        let failed: Vec<(&Cell, &str)> = self
            .cells
            .iter()
            .filter_map(|cell| match &entries.get(&cell.id)?.end {
                CellEnd::Failed { why } => Some((cell, why.as_str())),
                _ => None,
            })
            .collect();
        self.print(entries, progress, &counts, &best, &failed)?;
        if progress.is_stopped {
            return Ok(ExitStatus::Interrupted);
        }
        let submitted = match &self.args.submission {
            Some(directory) => self.submit(&best, directory),
            None => Ok(()),
        };
        if !failed.is_empty() {
            // The failed cells were printed; an error of the submission is added.
            let submitted = submitted.err().map(|error| format!("; {error:#}"));
            bail!(
                "{} of {} cells failed; --retry-failed runs them again{}",
                failed.len(),
                self.cells.len(),
                submitted.unwrap_or_default()
            );
        }
        submitted?;
        if progress.in_use > 0 {
            bail!(
                "other processes are training {} of the cells; after they have finished, run the same command again for \
                 the complete results",
                progress.in_use
            );
        }
        Ok(ExitStatus::Done)
    }

    fn counts(&self, entries: &Entries) -> Counts {
        let count = |is: fn(&CellEnd) -> bool| {
            self.entries_of_cells(entries).filter(|entry| is(&entry.end)).count()
        };
        Counts {
            done: count(|end| matches!(end, CellEnd::Done { .. })),
            collapsed: count(|end| matches!(end, CellEnd::Collapsed { .. })),
            failed: count(|end| matches!(end, CellEnd::Failed { .. })),
            left: self.open_cells(entries).count(),
        }
    }

    /// The best cells of each task by validation score; collapsed ones are excluded.
    fn best<'s>(&'s self, entries: &Entries) -> BTreeMap<&'s str, Best<'s>> {
        let mut best: BTreeMap<&str, Best> = BTreeMap::new();
        for cell in &self.cells {
            let Some(Entry { end: CellEnd::Done { result }, .. }) = entries.get(&cell.id) else {
                continue;
            };
            let score = result.score;
            let best = best.entry(&cell.config.task.name).or_default();
            if best.of_all.is_none_or(|(_, known)| score > known) {
                best.of_all = Some((cell, score));
            }
            let adapter = self.run_directory(&cell.config, &cell.id).join("adapter.safetensors");
            if best.kept.as_ref().is_none_or(|(_, known, _)| score > *known) && adapter.is_file() {
                best.kept = Some((cell, score, adapter));
            }
        }
        best
    }

    fn print(
        &self,
        entries: &Entries,
        progress: &Progress,
        counts: &Counts,
        best: &BTreeMap<&str, Best>,
        failed: &[(&Cell, &str)],
    ) -> Result<()> {
        let settings = summary::settings(self.entries_of_cells(entries));
        let all = self.cells.len();
        if self.args.json {
            let status = match counts {
                _ if progress.is_stopped => "stopped",
                Counts { failed: 1.., .. } => "failed",
                Counts { left: 1.., .. } => "open",
                _ => "done",
            };
            let Counts { done, collapsed, failed: n_failed, left } = counts;
            let adapters: BTreeMap<&str, &PathBuf> = best
                .iter()
                .filter_map(|(task, best)| Some((*task, &best.kept.as_ref()?.2)))
                .collect();
            let failed: Vec<_> = failed
                .iter()
                .map(|(cell, why)| json!({ "cell": cell.id, "run": cell.describe(), "why": why }))
                .collect();
            let output = json!({
                "sweep": self.name,
                "status": status,
                "cells": {
                    "all": all, "done": done, "collapsed": collapsed, "failed": n_failed, "left": left,
                },
                "settings": settings,
                "adapters": adapters,
                "failed": failed,
            });
            outln!("{}", serde_json::to_string(&output)?);
            return Ok(());
        }
        if settings.is_empty() {
            noteln!("no run has finished with a score yet");
        } else {
            let size = terminal_size::terminal_size_of(std::io::stdout());
            let width = size.map_or(table::WIDTH, |(width, _)| width.0);
            outln!("{}", table::table(&summary::best(&settings), width));
        }
        let kept: Vec<_> =
            best.iter().filter_map(|(task, b)| Some((task, b.kept.as_ref()?))).collect();
        if !kept.is_empty() {
            noteln!("\nthe best adapter of each task:");
            for (task, (_, score, adapter)) in kept {
                noteln!("  {task} {:.1}  {}", 100.0 * score, adapter.display());
            }
        }
        if counts.collapsed > 0 {
            noteln!(
                "\n{} of {all} cells collapsed; see their entries in the ledger",
                counts.collapsed
            );
        }
        if !failed.is_empty() {
            noteln!("\n{} of {all} cells failed:", failed.len());
            for (cell, why) in failed {
                noteln!("  {} {}: {why}", cell.id, cell.describe());
            }
        }
        if counts.left > 0 {
            let stopped = if progress.is_stopped { "stopped; " } else { "" };
            noteln!(
                "\n{stopped}{} of {all} cells remain; run the same command again to continue",
                counts.left
            );
        }
        if !settings.is_empty() {
            let report = format!("report {}", hints::path(&self.directory));
            hints::next(&[(report, "write tables and figures as one HTML page")]);
        }
        Ok(())
    }

    /// Writes GLUE's submission files with the adapter of each task that has the best validation score.
    fn submit(&self, best: &BTreeMap<&str, Best>, directory: &Path) -> Result<()> {
        let inference = InferenceOptions {
            base: Some(self.args.base.clone()),
            device: self.args.device.clone(),
            batch_size: 32,
            precision: Precision::F32,
        };
        let mut written = 0;
        let mut without = Vec::new();
        let mut errors = Vec::new();
        let tasks: Vec<&str> =
            self.cells.iter().map(|cell| cell.config.task.name.as_str()).collect();
        for (index, task) in tasks.iter().enumerate() {
            if tasks[..index].contains(task) || !submission::has_one(task) {
                continue;
            }
            let Some(Best { of_all, kept }) = best.get(task) else {
                without.push(*task);
                continue;
            };
            let Some((cell, score, adapter)) = kept else {
                without.push(*task);
                continue;
            };
            if let Some((better, best)) = of_all.filter(|(_, best)| best > score) {
                noteln!(
                    "note: {} has the score {:.1}, but its adapter was not kept (see --keep-all); the submission is of \
                     {}, with the score {:.1}",
                    better.describe(),
                    100.0 * best,
                    cell.describe(),
                    100.0 * score
                );
            }
            let write = || {
                let predictor = Predictor::load(adapter, &inference)?;
                submission::write(&predictor, self.args.data.as_deref(), directory)
            };
            match write().with_context(|| format!("writing the submission for {task}")) {
                Ok(()) => written += 1,
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        if !without.is_empty() {
            noteln!(
                "note: no submission for {}: no adapter was kept, or every cell failed or collapsed",
                without.join(", ")
            );
        }
        match errors.as_slice() {
            [] if written > 0 => Ok(()),
            [] => bail!("there is nothing to submit: no adapter of a GLUE task was kept"),
            errors => bail!("{}", errors.join("; ")),
        }
    }
}
