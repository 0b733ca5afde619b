//! Exchanges adapters with the Python packages, in both directions.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::{peers, train};

#[derive(Args)]
pub(crate) struct InteropArgs {
    /// A Python that has the packages [default: a virtual environment below the target directory, several GB]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

pub(crate) fn run(shell: &Shell, args: InteropArgs) -> Result<()> {
    exchange(shell, &peers::python(shell, args.python)?)
}

/// Runs the exchange with the packages of a Python.
pub(crate) fn exchange(shell: &Shell, python: &Path) -> Result<()> {
    let trainer = train::build(shell, Backend::Cpu)?;
    cmd!(shell, "{python} goldens/interop.py {trainer}").run()?;
    Ok(())
}
