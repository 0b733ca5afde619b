//! Builds the trainer and runs it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::device::{self, Backend};

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    // The manifest of this crate is one level below the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The environment variable of cargo's target directory.
pub(crate) const TARGET: &str = "CARGO_TARGET_DIR";

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    target_of(std::env::var_os(TARGET))
}

/// The directory of the tools that the checks install.
pub(crate) fn tools() -> PathBuf {
    target().join("ci-tools")
}

/// `CARGO_TARGET_DIR` relative to the caller's directory, or `target` in the workspace.
fn target_of(variable: Option<OsString>) -> PathBuf {
    match variable.filter(|target| !target.is_empty()) {
        // Only an empty path has no absolute form.
        Some(target) => std::path::absolute(&target).unwrap_or_else(|_| target.into()),
        None => workspace().join("target"),
    }
}

/// Builds `trainer` with a back-end and returns its path.
pub(crate) fn build(shell: &Shell, backend: Backend) -> Result<PathBuf> {
    let features: Vec<&str> =
        backend.feature().map_or_else(Vec::new, |feature| vec!["--features", feature]);
    cmd!(shell, "cargo build --release --locked --package trainer-app {features...}")
        .quiet()
        .run()?;
    Ok(program())
}

/// The path of the built `trainer`.
pub(crate) fn program() -> PathBuf {
    target().join("release").join(format!("trainer{}", std::env::consts::EXE_SUFFIX))
}

/// Builds `trainer` for the device among the arguments and runs it in the caller's directory.
pub(crate) fn run(shell: &Shell, arguments: Vec<String>) -> Result<()> {
    let (backend, why) = device::choose(&arguments);
    eprintln!("building for {backend:?}: {why}");
    run_on(shell, backend, arguments)
}

/// The same for a given back-end.
pub(crate) fn run_on(shell: &Shell, backend: Backend, arguments: Vec<String>) -> Result<()> {
    let trainer = build(shell, backend)?;
    let mut command = Command::new(&trainer);
    // The commands that the trainer suggests start with this.
    command.args(arguments).env("TRAINER_TYPED_AS", "cargo xtask trainer");
    become_program(&mut command).with_context(|| format!("running {}", trainer.display()))
}

/// Replaces this process by the trainer, which then has the terminal and receives Ctrl-C.
#[cfg(unix)]
fn become_program(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_target_directory_is_resolved_from_the_callers() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(target_of(Some("elsewhere".into())), here.join("elsewhere"));
        assert_eq!(target_of(Some("/elsewhere".into())), Path::new("/elsewhere"));
        assert_eq!(target_of(None), workspace().join("target"));
        assert_eq!(target_of(Some("".into())), workspace().join("target"));
    }
}
