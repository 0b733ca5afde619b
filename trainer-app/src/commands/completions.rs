//! `trainer completions` and `trainer man`: files for shells and for `man`, from the definition of the arguments.

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

const PROGRAM: &str = "trainer";

/// Prints the completion script of a shell.
///
/// # Errors
/// None in practice: scripts are UTF-8.
pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    out!("{}", String::from_utf8(script).context("a completion script is UTF-8")?);
    Ok(())
}

/// Writes a man page for the program and for each command into a directory.
///
/// # Errors
/// What the file system reports.
pub fn man(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("writing man pages into {}", directory.display()))
}
