//! `trainer sweep`: runs every cell of a grid once.
//!
//! The end of a cell is recorded in the ledger; an error of the environment is not, so that the same command continues
//! the cell.

mod conclusion;
mod origins;
mod plan;

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, ensure};
use burn_adapters::Method;
use glue_data::tasks;

use crate::artifacts::RunDirectory;
use crate::cli::SweepArgs;
use crate::devices;
use crate::exit::{ExitStatus, UsageError};
use crate::learner::progress_bar_renderer::ProgressBarRenderer;
use crate::limits;
use crate::lock::InUse;
use crate::resource_cache::ResourceCache;
use crate::run::{Run, RunOptions, RunResult};
use crate::run_config::{RunConfig, default_pooling};
use crate::stop::Stop;
use crate::sweep::cell::Cell;
use crate::sweep::entries::{self, Entries};
use crate::sweep::entry::{CellEnd, Entry};
use crate::sweep::fault::{Fault, Panicked, WrongRun};
use crate::sweep::grid;
use crate::sweep::ledger::{self, Ledger};
use crate::sweep::slurm;
use crate::task_data::rows;
use crate::terminal::{RowEnd, SweepProgress};

/// A run that trains a larger fraction of the base does not keep its adapter file, since hundreds of them would fill a
/// disk.
const MAX_KEPT_FRACTION: f64 = 0.1;

/// Runs `trainer sweep`.
///
/// # Errors
/// A sweep that cannot be read, an error of the environment, or, after all others ended, cells that failed or that
/// another process is training.
pub fn run(args: &SweepArgs) -> Result<ExitStatus> {
    let sweep = Sweep::read(args)?;
    if args.slurm {
        sweep.print_slurm_script()?;
        return Ok(ExitStatus::Done);
    }
    let device = devices::resolve(&args.device)?;
    let entries = entries::read_if_any(&sweep.directory)?;
    let mut shared = ResourceCache::new(device);
    if args.dry_run {
        sweep.note(&entries);
        sweep.print_plan(&entries, &mut shared)?;
        return Ok(ExitStatus::Done);
    }
    // Errors that affect all cells are found before the first is trained, and before anything is written.
    let fingerprints = sweep.check_origins(&entries, &mut shared)?;
    if sweep.open_cells(&entries).next().is_none() {
        sweep.note(&entries);
        return sweep.conclude(&entries, &Progress::default());
    }
    let mut ledger = sweep.open_ledger()?;
    sweep.note(ledger.entries());
    let stop = Stop::on_signals()?;
    let progress = sweep.run(&mut ledger, &fingerprints, &mut shared, &stop)?;
    sweep.conclude(ledger.entries(), &progress)
}

/// A sweep of the command line.
struct Sweep<'a> {
    args: &'a SweepArgs,
    text: String,
    name: String,
    directory: PathBuf,
    cells: Vec<Cell>,
    /// Notes that were printed, each once.
    printed: RefCell<BTreeSet<String>>,
}

/// The fingerprint of each task's rows.
type Fingerprints = BTreeMap<String, Option<String>>;

/// What the command left unfinished.
#[derive(Default)]
struct Progress {
    /// Whether the user interrupted it.
    is_stopped: bool,
    /// Cells that another process is training.
    in_use: usize,
}

/// How the run of a cell ended, where it did not fail.
enum CellRun {
    Ended(Box<RunResult>),
    Stopped,
}

impl<'a> Sweep<'a> {
    fn read(args: &'a SweepArgs) -> Result<Self> {
        let (name, text) = match (&args.file, &args.preset) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading the sweep {}", path.display()))?;
                let stem =
                    path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
                (stem, text)
            }
            (None, Some(preset)) => {
                let text = grid::preset(preset).map_err(|error| UsageError::new(error.to_string()));
                (preset.clone(), text?.to_owned())
            }
            (None, None) => {
                let names = grid::preset_names();
                return Err(UsageError::new(format!(
                    "no sweep was given; give a file, or --preset with one of {names}"
                )));
            }
        };
        let name = args.name.clone().unwrap_or(name);
        limits::directory_name(&name).map_err(|expected| {
            UsageError::new(format!(
                "the sweep's name is `{name}`, {expected}; choose another one with --name"
            ))
        })?;
        let cells = grid::cells(&text, |method| common(args, method))
            .with_context(|| format!("reading the sweep {name}"))?;
        let is_embedded = |cell: &Cell| {
            tasks::lookup(&cell.config.task.name).is_ok_and(|spec| spec.source.is_none())
        };
        if args.data.is_some() && cells.iter().all(is_embedded) {
            return Err(UsageError::new(
                "--data has no effect: the rows of every task of this sweep are included in the program; leave it out",
            ));
        }
        Ok(Self {
            args,
            text,
            directory: args.sweeps.join(&name),
            name,
            cells,
            printed: RefCell::default(),
        })
    }

    /// The cells of this machine's shard that have not ended.
    fn open_cells<'s>(&'s self, entries: &'s Entries) -> impl Iterator<Item = &'s Cell> {
        let mine = |(index, _): &(usize, _)| self.args.shard.contains(*index);
        let is_open = |cell: &&Cell| match entries.get(&cell.id).map(|entry| &entry.end) {
            None => true,
            Some(CellEnd::Failed { .. }) => self.args.retry_failed,
            Some(_) => false,
        };
        self.cells.iter().enumerate().filter(mine).map(|(_, cell)| cell).filter(is_open)
    }

    /// The entries of the sweep's cells, in the order of the cells.
    fn entries_of_cells<'s>(&'s self, entries: &'s Entries) -> impl Iterator<Item = &'s Entry> {
        self.cells.iter().filter_map(|cell| entries.get(&cell.id))
    }

    fn open_ledger(&self) -> Result<Ledger> {
        let ledger = Ledger::open(&self.directory, self.args.shard).map_err(|error| {
            if error.downcast_ref::<InUse>().is_some() {
                error.context(format!(
                    "another process is running this sweep in {}; wait until it has finished, or share the cells with --shard",
                    self.directory.display()
                ))
            } else {
                error
            }
        })?;
        ledger::write_grids(&self.directory, &self.text)?;
        Ok(ledger)
    }

    fn run(
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

    fn run_directory(&self, config: &RunConfig, id: &str) -> PathBuf {
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

    fn print_slurm_script(&self) -> Result<()> {
        let program = std::env::current_exe().context("finding this program")?;
        let here = std::env::current_dir().context("finding the current directory")?;
        out!("{}", slurm::script(&program, &here, self.args, self.cells.len())?);
        Ok(())
    }

    fn note(&self, entries: &Entries) {
        if !self.args.json {
            entries.notes.iter().for_each(|note| noteln!("note: {note}"));
        }
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

/// The settings that all cells share: those of the command line.
fn common(args: &SweepArgs, method: Method) -> RunConfig {
    let mut config = RunConfig::defaults(method);
    config.model.base.clone_from(&args.base);
    config.model.pooling = default_pooling(&args.base);
    config.task.data.clone_from(&args.data);
    config.device.clone_from(&args.device);
    config
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
