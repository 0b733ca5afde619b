//! Runs the cells of a sweep.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, ensure};

use super::cells::{Fingerprints, Sweep};
use crate::learner::progress_bar_renderer::ProgressBarRenderer;
use crate::learner::run_directory::RunDirectory;
use crate::run::resource_cache::ResourceCache;
use crate::run::{Run, RunOptions, RunResult};
use crate::run_config::RunConfig;
use crate::sweep::cell::Cell;
use crate::sweep::entry::{CellEnd, Entry};
use crate::sweep::fault::{Fault, Panicked, WrongRun};
use crate::sweep::ledger::Ledger;
use crate::system::stop::Stop;
use crate::task_data::rows;
use crate::terminal::sweep_progress::{RowEnd, SweepProgress};

/// A run that trains a larger fraction of the base does not keep its adapter file, since hundreds of them would fill a
/// disk.
const MAX_KEPT_FRACTION: f64 = 0.1;

/// What the command left unfinished.
#[derive(Default)]
pub(super) struct Progress {
    /// Whether the user interrupted it.
    pub(super) is_stopped: bool,
    /// Cells that another process is training.
    pub(super) in_use: usize,
}

/// How the run of a cell ended, where it did not fail.
enum CellRun {
    Ended(Box<RunResult>),
    Stopped,
}

impl Sweep<'_> {
    pub(super) fn run(
        &self,
        ledger: &mut Ledger,
        fingerprints: &Fingerprints,
        shared: &mut ResourceCache,
        stop: &Stop,
    ) -> Result<Progress> {
        let board = SweepProgress::new(self.cells.iter().map(row_name), !self.args.json);
        for cell in &self.cells {
            if let Some(entry) = ledger.entries().get(&cell.id) {
                board.finish(&row_name(cell), row_end(entry));
            }
        }
        let mut progress = Progress::default();
        let open: Vec<Cell> = self.open_cells(ledger.entries()).cloned().collect();
        for cell in open {
            if stop.is_requested() {
                progress.is_stopped = true;
                break;
            }
            let end = match self.run_cell(&cell, fingerprints, shared, stop, &board) {
                Ok(CellRun::Ended(result)) if result.collapsed => CellEnd::Collapsed {
                    why: format!(
                        "the same prediction for every row after {} epochs",
                        result.epochs
                    ),
                    result: Some(*result),
                },
                Ok(CellRun::Ended(result)) => CellEnd::Done { result: *result },
                Ok(CellRun::Stopped) => {
                    progress.is_stopped = true;
                    break;
                }
                Err(error) => match Fault::of(&error) {
                    Fault::Collapse => {
                        CellEnd::Collapsed { why: format!("{error:#}"), result: None }
                    }
                    Fault::Settings => CellEnd::Failed { why: format!("{error:#}") },
                    Fault::InUse => {
                        board.println(&format!(
                            "{}: another process is training it",
                            cell.describe()
                        ));
                        progress.in_use += 1;
                        continue;
                    }
                    Fault::Environment => {
                        board.close();
                        return Err(error.context(format!(
                            "the sweep stopped at the cell {} ({}), which is not recorded; after fixing the cause, run the \
                             same command again to continue",
                            cell.id,
                            cell.describe()
                        )));
                    }
                },
            };
            board.println(&outcome_line(&cell, &end));
            let entry = Entry {
                cell: cell.id.clone(),
                end,
                config: cell.config.clone(),
                finished_at: seconds_since_1970(),
            };
            board.finish(&row_name(&cell), row_end(&entry));
            ledger.add(entry).inspect_err(|_| board.close())?;
        }
        board.close();
        Ok(progress)
    }

    pub(super) fn run_directory(&self, config: &RunConfig, id: &str) -> PathBuf {
        self.directory.join("runs").join(&config.task.name).join(id)
    }

    /// Runs a cell, from its checkpoint if there is one. A panic is an error.
    fn run_cell(
        &self,
        cell: &Cell,
        fingerprints: &Fingerprints,
        shared: &mut ResourceCache,
        stop: &Stop,
        board: &SweepProgress,
    ) -> Result<CellRun> {
        let run = || self.try_cell(cell, fingerprints, shared, stop, board);
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    fn try_cell(
        &self,
        cell: &Cell,
        fingerprints: &Fingerprints,
        shared: &mut ResourceCache,
        stop: &Stop,
        board: &SweepProgress,
    ) -> Result<CellRun> {
        let line = board.start(&cell.describe());
        let runs = self.directory.join("runs");
        let (task, id) = (&cell.config.task.name, &cell.id);
        let directory = RunDirectory::open_or_create(&runs, task, id, &cell.config)?;
        if directory.is_finished() {
            // The process ended between the result and the ledger.
            let fingerprint = fingerprints.get(task).and_then(Option::as_deref);
            let result = read_finished(cell, &directory, fingerprint)?;
            directory.remove_leftovers()?;
            directory.remove_checkpoints()?;
            self.drop_large_adapter(&result, &directory)?;
            return Ok(CellRun::Ended(Box::new(result)));
        }
        cell.config.write(&directory.config())?;
        self.print_truncation(cell, shared, board)?;
        let messages = line.clone();
        let options = RunOptions {
            renderer: Box::new(move |_, _| Box::new(ProgressBarRenderer::new(line.clone()))),
            stop: stop.clone(),
            checkpoint_every: Duration::from_secs(self.args.checkpoint_every),
            give_up_after: Some((cell.config.training.epochs / 3).max(2)),
            notify: Arc::new(move |message| messages.println(message)),
        };
        let run = Run::prepare(cell.config.clone(), shared)?;
        let Some(result) = run.train(&directory, &options)? else { return Ok(CellRun::Stopped) };
        self.drop_large_adapter(&result, &directory)?;
        Ok(CellRun::Ended(Box::new(result)))
    }

    /// Prints, once per task and length, how many texts are truncated.
    fn print_truncation(
        &self,
        cell: &Cell,
        shared: &mut ResourceCache,
        board: &SweepProgress,
    ) -> Result<()> {
        let RunConfig { task, model, .. } = &cell.config;
        let data = shared.data(&cell.config)?;
        let base = shared.base(model)?;
        let texts = [&data.prepared.train, &data.prepared.validation];
        if let Some(note) = rows::truncation_note(texts, model.max_length, &base.config) {
            let note = format!("{}: {note}", task.name);
            if self.printed.borrow_mut().insert(note.clone()) {
                board.println(&note);
            }
        }
        Ok(())
    }

    /// Removes the adapter file of a method that trains much of the base, without --keep-all.
    fn drop_large_adapter(&self, result: &RunResult, directory: &RunDirectory) -> Result<()> {
        let adapter = directory.adapter();
        if result.share_of_base > MAX_KEPT_FRACTION && !self.args.keep_all && adapter.is_file() {
            std::fs::remove_file(&adapter).context("removing a large adapter file")?;
        }
        Ok(())
    }
}

/// The result of a run that an earlier process finished, after checking that it is the cell's.
fn read_finished(cell: &Cell, directory: &RunDirectory, rows: Option<&str>) -> Result<RunResult> {
    let root = directory.root().display();
    let remove = format!("remove {root} to run the cell again");
    let read = || -> Result<RunResult> {
        let found = Cell::id_of(&RunConfig::read(&directory.config())?);
        ensure!(found == cell.id, "{root} has the run of another cell, {found}");
        let result = RunResult::read(&directory.result())?;
        let known = result.rows_fingerprint.as_deref();
        ensure!(
            rows.is_none() || known.is_none() || rows == known,
            "the run in {root} was trained on other rows"
        );
        Ok(result)
    };
    read().map_err(|error| WrongRun { reason: format!("{error:#}; {remove}") }.into())
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|message| (*message).to_owned()))
        .unwrap_or_else(|| "no message".to_owned());
    Panicked { message }.into()
}

fn outcome_line(cell: &Cell, end: &CellEnd) -> String {
    let cell = cell.describe();
    match end {
        CellEnd::Done { result } => {
            let (metric, score, seconds) = (&result.metric, 100.0 * result.score, result.seconds);
            format!("{cell}: {metric} {score:.1} in {seconds:.0} s")
        }
        CellEnd::Collapsed { why, .. } => format!("{cell}: collapsed: {why}"),
        CellEnd::Failed { why } => format!("{cell}: failed: {why}"),
    }
}

/// The row of the progress table to which a cell belongs.
fn row_name(cell: &Cell) -> String {
    format!("{} {}", cell.config.task.name, cell.config.model.method)
}

fn row_end(entry: &Entry) -> RowEnd {
    match &entry.end {
        CellEnd::Done { result } => RowEnd::Score(result.score),
        CellEnd::Collapsed { .. } => RowEnd::Collapsed,
        CellEnd::Failed { .. } => RowEnd::Failed,
    }
}

fn seconds_since_1970() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|duration| duration.as_secs())
}
