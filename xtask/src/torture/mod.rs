//! Kills the trainer and fills its disk, and compares the final state with that of an undisturbed run.
//!
//! There are two kinds of kills: at random moments, from outside, and at every chosen file operation, from inside, by a
//! preloaded library (`faults.c`). Then the work is continued as a user would continue it, and must produce the same
//! bytes and leave no other files.

mod bank;
mod download;
pub(crate) mod program;
mod scenario;
mod sweep;
pub(crate) mod train;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use xshell::Shell;

use crate::device::Backend;
use program::Program;
use scenario::{Counts, Scenario};

#[derive(Args)]
pub(crate) struct TortureArgs {
    /// Kills at random moments, for each of training, sweeps, banks and downloads
    #[arg(long, value_name = "N", default_value_t = 50)]
    kills: usize,
    /// File operations at which faults are injected, spread evenly over each run [default: all]
    #[arg(long, value_name = "N")]
    points: Option<usize>,
    /// Only these, separated by commas: train, cached, sweep, bank, download [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Seed of the random moments
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

impl TortureArgs {
    /// Small counts, for CI.
    pub(crate) fn few() -> Self {
        Self { kills: 6, points: Some(10), only: Vec::new(), seed: 1 }
    }
}

/// Prepares a scenario in a directory of its own.
type Prepare = fn(&Program, &Path) -> Result<Box<dyn Scenario>>;

pub(crate) fn run(shell: &Shell, args: &TortureArgs) -> Result<()> {
    let program = Program::build(shell, Backend::Cpu)?;
    let directory = shell.create_temp_dir()?;
    let place = |name: &str| -> Result<std::path::PathBuf> {
        let place = directory.path().join(name);
        std::fs::create_dir_all(&place)?;
        // Symbolic links would hide operations from the library, which compares paths.
        Ok(place.canonicalize()?)
    };
    let scenarios: [(&str, Prepare); 5] = [
        ("train", |_, _| Ok(Box::new(train::Training::new(false)))),
        ("cached", |_, _| Ok(Box::new(train::Training::new(true)))),
        ("sweep", |_, _| Ok(Box::new(sweep::Sweep))),
        ("bank", |program, place| Ok(Box::new(bank::Bank::prepare(program, place)?))),
        ("download", |program, place| Ok(Box::new(download::Download::prepare(program, place)?))),
    ];
    for name in &args.only {
        ensure!(
            scenarios.iter().any(|(known, _)| known == name),
            "there is no scenario `{name}`; choose train, cached, sweep, bank or download"
        );
    }
    let mut failures = Vec::new();
    for (name, prepare) in scenarios {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        let scenario = prepare(&program, &place(name)?)?;
        let counts = Counts { kills: args.kills, points: args.points, seed: args.seed };
        failures.extend(scenario::torture(name, &*scenario, &program, &counts)?);
    }
    for failure in &failures {
        eprintln!("{failure}");
    }
    ensure!(failures.is_empty(), "{} failures, as listed above", failures.len());
    Ok(())
}
