//! `trainer sweep`: runs every cell of a grid once.
//!
//! The end of a cell is recorded in the ledger; an error of the environment is not, so that the same command continues
//! the cell.

mod cells;
mod conclusion;
mod origins;
mod plan;
mod running;
mod slurm;

use anyhow::Result;

use crate::cli::SweepArgs;
use crate::exit::ExitStatus;
use crate::run::resource_cache::ResourceCache;
use crate::sweep::entries;
use crate::system::devices;
use crate::system::stop::Stop;
use cells::Sweep;
use running::Progress;

/// Runs `trainer sweep`.
///
/// # Errors
/// A sweep that cannot be read, an error of the environment, or, after all others ended, cells that failed or that
/// another process is training.
pub fn run(args: &SweepArgs) -> Result<ExitStatus> {
    let stop = Stop::on_signals(args.json)?;
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
    let progress = sweep.run(&mut ledger, &fingerprints, &mut shared, &stop)?;
    sweep.conclude(ledger.entries(), &progress)
}
