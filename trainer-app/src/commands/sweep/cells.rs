//! A sweep of the command line: its cells, and the checks before they are run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use burn_adapters::Method;
use glue_data::tasks;

use super::slurm;
use crate::base::Base;
use crate::cli::SweepArgs;
use crate::exit::UsageError;
use crate::run_config::limits;
use crate::run_config::{RunConfig, needs_base};
use crate::sweep::cell::Cell;
use crate::sweep::entries::Entries;
use crate::sweep::entry::{CellEnd, Entry};
use crate::sweep::grid;
use crate::sweep::ledger::{self, Ledger};
use crate::system::lock::InUse;
use crate::terminal::hints;
use crate::toml_file;

/// A sweep of the command line.
pub(super) struct Sweep<'a> {
    pub(super) args: &'a SweepArgs,
    pub(super) text: String,
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) cells: Vec<Cell>,
    /// Notes that were printed, each once.
    pub(super) printed: RefCell<BTreeSet<String>>,
}

/// The fingerprint of each task's rows.
pub(super) type Fingerprints = BTreeMap<String, Option<String>>;

impl<'a> Sweep<'a> {
    pub(super) fn read(args: &'a SweepArgs) -> Result<Self> {
        let (name, text) = match (&args.file, &args.preset) {
            (Some(path), _) => {
                let text = toml_file::read(path)
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
        if !args.dry_run && !args.slurm && needs_base(&args.base) {
            // A finished sweep needs no base, and a cell that runs reports the error.
            let _ = Base::locate(&args.base);
        }
        if (args.dry_run || args.slurm) && needs_base(&args.base) {
            noteln!(
                "note: {} is not on this machine; its default classifier and learning rate count as BERT's until it is \
                 downloaded, with `{} base {}`",
                args.base,
                hints::program(),
                hints::quoted(&args.base)
            );
        }
        let cells = grid::cells(&text, |method| common(args, method))
            .with_context(|| format!("reading the sweep {name}"))?;
        let is_embedded = |cell: &Cell| {
            tasks::find(&cell.config.task.name).is_ok_and(|task| task.source().is_none())
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
    pub(super) fn open_cells<'s>(&'s self, entries: &'s Entries) -> impl Iterator<Item = &'s Cell> {
        let mine = |(index, _): &(usize, _)| self.args.shard.contains(*index);
        let is_open = |cell: &&Cell| match entries.get(&cell.id).map(|entry| &entry.end) {
            None => true,
            Some(CellEnd::Failed { .. }) => self.args.retry_failed,
            Some(_) => false,
        };
        self.cells.iter().enumerate().filter(mine).map(|(_, cell)| cell).filter(is_open)
    }

    /// The entries of the sweep's cells, in the order of the cells.
    pub(super) fn entries_of_cells<'s>(
        &'s self,
        entries: &'s Entries,
    ) -> impl Iterator<Item = &'s Entry> {
        self.cells.iter().filter_map(|cell| entries.get(&cell.id))
    }

    pub(super) fn open_ledger(&self) -> Result<Ledger> {
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

    pub(super) fn print_slurm_script(&self) -> Result<()> {
        let program = std::env::current_exe().context("finding this program")?;
        let here = std::env::current_dir().context("finding the current directory")?;
        out!("{}", slurm::script(&program, &here, self.args, self.cells.len())?);
        Ok(())
    }

    pub(super) fn note(&self, entries: &Entries) {
        if !self.args.json {
            entries.notes.iter().for_each(|note| noteln!("note: {note}"));
        }
    }
}

/// The settings that all cells share: those of the command line.
fn common(args: &SweepArgs, method: Method) -> RunConfig {
    let mut config = RunConfig::defaults(method);
    config.model.base.clone_from(&args.base);
    config.fit_to_base();
    config.task.data.clone_from(&args.data);
    config.device.clone_from(&args.device);
    config
}
