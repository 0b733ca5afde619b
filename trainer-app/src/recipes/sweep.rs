//! `trainer sweep`: every cell of a grid once, whatever happens in between, and a table of the best.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use burn_adapters::Method;
use burn_bert::Precision;

use crate::artifacts::{RunDirectory, write_atomically};
use crate::cli::{InferenceArgs, SweepArgs};
use crate::devices;
use crate::ending::Ending;
use crate::learner::error::TrainingError;
use crate::learner::quiet::Quiet;
use crate::recipes::inference::Answerer;
use crate::recipes::submission;
use crate::run::{Run, RunResult, Watch};
use crate::run_config::{RunConfig, default_pooling};
use crate::shared::Shared;
use crate::stop::Stop;
use crate::sweep::estimate;
use crate::sweep::grid::{self, Cell};
use crate::sweep::ledger::{CellEnd, Entry, Ledger};
use crate::sweep::summary;
use crate::terminal::Board;

/// A run whose trained share is above this keeps no copy of what it trained: hundreds of them would fill a disk.
const SMALL_SHARE: f64 = 0.1;

/// Runs `trainer sweep`.
///
/// # Errors
/// A sweep that cannot be read, or a ledger that cannot be written. A cell that fails is written down as failed, and
/// the sweep goes on.
pub fn run(args: &SweepArgs) -> Result<Ending> {
    let sweep = Sweep::read(args)?;
    if args.slurm {
        sweep.print_slurm_script()?;
        return Ok(Ending::Done);
    }
    let device = devices::resolve(&args.device)?;
    let mut ledger = Ledger::open(&sweep.directory, args.shard)?;
    write_atomically(&sweep.directory.join("sweep.toml"), sweep.text.as_bytes())?;
    let mut shared = Shared::new(device);
    if args.dry_run {
        sweep.print_plan(&ledger, &mut shared)?;
        return Ok(Ending::Done);
    }
    let stop = Stop::on_signals()?;
    sweep.run(&mut ledger, &mut shared, &stop)?;
    sweep.tell(&ledger, &stop)?;
    if stop.is_asked() {
        return Ok(Ending::Stopped);
    }
    if let Some(directory) = &args.submission {
        sweep.submit(&ledger, directory)?;
    }
    Ok(Ending::Done)
}

/// A sweep as it was asked for.
struct Sweep<'a> {
    args: &'a SweepArgs,
    text: String,
    directory: PathBuf,
    cells: Vec<Cell>,
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
            (None, Some(preset)) => (preset.clone(), grid::preset(preset)?.to_owned()),
            (None, None) => bail!("name a sweep: a file, or --preset {}", grid::preset_names()),
        };
        let name = args.name.clone().unwrap_or(name);
        let cells = grid::cells(&text, |method| common(args, method))
            .with_context(|| format!("reading the sweep {name}"))?;
        Ok(Self { args, text, directory: args.sweeps.join(name), cells })
    }

    /// This machine's cells that have not ended.
    fn open_cells<'s>(&'s self, ledger: &'s Ledger) -> impl Iterator<Item = &'s Cell> {
        let mine = |(index, _): &(usize, _)| self.args.shard.takes(*index);
        let is_open = |cell: &&Cell| match ledger.get(&cell.id).map(|entry| &entry.end) {
            None => true,
            Some(CellEnd::Failed { .. }) => self.args.retry_failed,
            Some(_) => false,
        };
        self.cells.iter().enumerate().filter(mine).map(|(_, cell)| cell).filter(is_open)
    }

    fn run(&self, ledger: &mut Ledger, shared: &mut Shared, stop: &Stop) -> Result<()> {
        let board = Board::new(self.cells.iter().map(row_name), !self.args.json);
        for cell in &self.cells {
            if let Some(entry) = ledger.get(&cell.id) {
                board.finish(&row_name(cell), score_of(entry));
            }
        }
        let open: Vec<Cell> = self.open_cells(ledger).cloned().collect();
        for cell in open {
            if stop.is_asked() {
                break;
            }
            let line = board.start(&cell.describe());
            let end = match self.run_cell(&cell, shared, stop, &line) {
                Ok(Some(result)) if result.collapsed => CellEnd::Collapsed {
                    why: format!("one answer for every row, {} epochs on", result.epochs),
                    result: Some(result),
                },
                Ok(Some(result)) => CellEnd::Done { result },
                Ok(None) => break,
                Err(error) => {
                    let why = format!("{error:#}");
                    if TrainingError::in_chain(&error).is_some() {
                        CellEnd::Collapsed { why, result: None }
                    } else {
                        CellEnd::Failed { why }
                    }
                }
            };
            board.say(&match &end {
                CellEnd::Done { result } => format!(
                    "{}: {} {:.1} in {:.0} s",
                    cell.describe(),
                    result.metric,
                    100.0 * result.score,
                    result.seconds
                ),
                CellEnd::Collapsed { why, .. } => format!("{}: collapsed: {why}", cell.describe()),
                CellEnd::Failed { why } => format!("{}: failed: {why}", cell.describe()),
            });
            let entry = Entry { cell: cell.id.clone(), end, config: cell.config.clone() };
            board.finish(&row_name(&cell), score_of(&entry));
            ledger.add(entry)?;
        }
        board.close();
        Ok(())
    }

    fn run_directory(&self, config: &RunConfig, id: &str) -> Result<RunDirectory> {
        RunDirectory::open_or_create(&self.directory.join("runs"), &config.task.name, id)
    }

    /// One cell, from its checkpoint where it was stopped; `None` when it was stopped now.
    fn run_cell(
        &self,
        cell: &Cell,
        shared: &mut Shared,
        stop: &Stop,
        line: &indicatif::ProgressBar,
    ) -> Result<Option<RunResult>> {
        let directory = self.run_directory(&cell.config, &cell.id)?;
        if directory.is_finished() {
            // The process ended between the result and the ledger.
            let bytes = std::fs::read(directory.result()).context("reading the result")?;
            return Ok(Some(serde_json::from_slice(&bytes).context("reading the result")?));
        }
        cell.config.write(&directory.config())?;
        let line = line.clone();
        let watch = Watch {
            renderer: Box::new(move |_| Box::new(Quiet::new(line.clone()))),
            stop: stop.clone(),
            checkpoint_every: Duration::from_secs(self.args.checkpoint_every),
            give_up_after: Some((cell.config.training.epochs / 3).max(2)),
        };
        let result = Run::prepare(cell.config.clone(), shared)?.train(&directory, &watch)?;
        if let Some(result) = &result
            && result.share_of_base > SMALL_SHARE
            && !self.args.keep_all
        {
            std::fs::remove_file(&result.adapter).context("removing a large adapter")?;
        }
        Ok(result)
    }

    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the end of the sweep is told")]
    fn tell(&self, ledger: &Ledger, stop: &Stop) -> Result<()> {
        let mine = |entry: &&Entry| self.cells.iter().any(|cell| cell.id == entry.cell);
        let settings = summary::settings(ledger.entries().filter(mine));
        if self.args.json {
            println!("{}", serde_json::to_string(&settings)?);
        } else {
            println!("{}", summary::table(&summary::best(&settings)));
        }
        let open = self.open_cells(ledger).count();
        let done = self.cells.len();
        if open > 0 {
            let asked = if stop.is_asked() { "stopped; " } else { "" };
            eprintln!("{asked}{open} of {done} cells are left: the same command goes on");
        }
        let failed =
            ledger.entries().filter(mine).filter(|e| matches!(e.end, CellEnd::Failed { .. }));
        match failed.count() {
            0 => Ok(()),
            failed => bail!(
                "{failed} cells failed; why is in {}; --retry-failed runs them again",
                self.directory.display()
            ),
        }
    }

    /// Writes GLUE's submission files with the adapter of each task that is the best on validation rows.
    #[expect(clippy::print_stderr, reason = "what is left out is told")]
    fn submit(&self, ledger: &Ledger, directory: &Path) -> Result<()> {
        let mut best: BTreeMap<&str, (f64, PathBuf)> = BTreeMap::new();
        for Cell { id, config } in &self.cells {
            let task = config.task.name.as_str();
            let Some(score) = ledger.get(id).and_then(score_of) else { continue };
            let adapter = self.run_directory(config, id)?.adapter();
            let is_better = best.get(task).is_none_or(|(known, _)| score > *known);
            if is_better && adapter.is_file() && submission::has_one(task) {
                best.insert(task, (score, adapter));
            }
        }
        let inference = InferenceArgs {
            base: Some(self.args.base.clone()),
            device: self.args.device.clone(),
            batch_size: 32,
            precision: Precision::F32,
            json: false,
        };
        for (_, adapter) in best.values() {
            let answerer = Answerer::load(adapter, &inference)?;
            submission::write(&answerer, self.args.data.as_deref(), directory)?;
        }
        if best.is_empty() {
            eprintln!("no adapter of a task of GLUE was kept, so there is nothing to submit");
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the plan is the output")]
    fn print_plan(&self, ledger: &Ledger, shared: &mut Shared) -> Result<()> {
        let speed = estimate::flops_per_second(shared.device());
        let mut left = 0.0;
        let mut open = 0;
        for cell in self.open_cells(ledger) {
            let seconds = match estimate::seconds_seen(ledger, cell) {
                Some(seconds) => seconds,
                None => estimate::flops(cell, shared)? / speed,
            };
            left += seconds;
            open += 1;
            println!("{}  {:>8}  {}", cell.id, duration(seconds), cell.describe());
        }
        println!(
            "\n{open} of {} cells to run, about {} on this machine",
            self.cells.len(),
            duration(left)
        );
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the script is the output")]
    fn print_slurm_script(&self) -> Result<()> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut words: Vec<String> = std::env::args().skip(1).collect();
        words.retain(|word| word != "--slurm");
        let line: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
        let shards = self.cells.len().min(self.args.slurm_shards);
        println!(
            "#!/bin/bash\n\
             #SBATCH --job-name=trainer-sweep\n\
             #SBATCH --array=1-{shards}\n\
             #SBATCH --cpus-per-task=8\n\
             #SBATCH --requeue\n\
             # A job that is killed goes on where it was when it is queued again; the ledgers are read together.\n\
             {} {} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\"",
            shell_quoted(&program.to_string_lossy()),
            line.join(" ")
        );
        Ok(())
    }
}

/// What every cell has in common: what was typed beside the grid.
fn common(args: &SweepArgs, method: Method) -> RunConfig {
    let mut config = RunConfig::defaults(method);
    config.model.base.clone_from(&args.base);
    config.model.pooling = default_pooling(&args.base);
    config.task.data.clone_from(&args.data);
    config.device.clone_from(&args.device);
    config
}

/// The row of the live table that a cell belongs to.
fn row_name(cell: &Cell) -> String {
    format!("{} {}", cell.config.task.name, cell.config.model.method)
}

fn score_of(entry: &Entry) -> Option<f64> {
    entry.end.result().map(|result| result.score)
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
