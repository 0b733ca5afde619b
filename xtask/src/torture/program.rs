//! Starts the trainer, kills it and injects faults.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::train;

/// The program and the library of faults.
pub(crate) struct Program {
    trainer: PathBuf,
    faults: PathBuf,
}

/// What happens at a file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillBefore,
    KillAfter,
    KillInside,
    FullDisk,
    ReadOnly,
    ClockSetBack,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::KillInside,
        Self::FullDisk,
        Self::ReadOnly,
        Self::ClockSetBack,
    ];

    /// The reason that its error message must contain, in the operating system's words.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::FullDisk => Some("No space left on device"),
            Self::ReadOnly => Some("Read-only file system"),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "before",
            Self::KillAfter => "after",
            Self::KillInside => "half",
            Self::FullDisk => "full",
            Self::ReadOnly => "read-only",
            Self::ClockSetBack => "clock",
        }
    }
}

impl Program {
    /// Builds both.
    pub(crate) fn build(shell: &Shell, backend: Backend) -> Result<Self> {
        let trainer = train::build(shell, backend)?;
        let faults = train::target().join("libfaults.so");
        let source = train::workspace().join("xtask/src/torture/faults.c");
        cmd!(shell, "cc -shared -fPIC -O1 -o {faults} {source} -ldl")
            .run()
            .context("compiling the library of faults, which needs a C compiler and Linux")?;
        Ok(Self { trainer: trainer.canonicalize()?, faults: faults.canonicalize()? })
    }

    /// The trainer in a directory, with its own cache there.
    pub(crate) fn command(&self, directory: &Path, line: &str) -> Command {
        let mut command = Command::new(&self.trainer);
        command.current_dir(directory).args(line.split_whitespace());
        command.env("TRAINER_CACHE", directory.join("cache"));
        // One thread, since many small runs would only wait for each other.
        command.env("RAYON_NUM_THREADS", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub(crate) fn succeed(&self, directory: &Path, line: &str) -> Result<String> {
        let output = self.command(directory, line).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "`trainer {line}` failed: {stderr}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The operations of a command on files of its directory, one line each.
    pub(crate) fn operations(&self, mut command: Command, directory: &Path) -> Result<Vec<String>> {
        let log = directory.with_extension("operations");
        let _ = std::fs::remove_file(&log);
        command
            .env("LD_PRELOAD", &self.faults)
            .env("FAULT_UNDER", directory)
            .env("FAULT_LOG", &log);
        let output = command.output()?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "an undisturbed run failed: {stderr}");
        let lines = std::fs::read_to_string(&log).context("the library of faults wrote nothing")?;
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// Runs a command with a fault at one of its operations.
    pub(crate) fn with_fault(
        &self,
        mut command: Command,
        directory: &Path,
        fault: Fault,
        at: usize,
    ) -> Result<Output> {
        command
            .env("LD_PRELOAD", &self.faults)
            .env("FAULT_UNDER", directory)
            .env("FAULT_AT", at.to_string())
            .env("FAULT_KIND", fault.name());
        Ok(command.output()?)
    }
}

/// Kills a process with SIGKILL after a delay unless it ends before, and returns whether it was killed.
pub(crate) fn kill_after(mut command: Command, delay: Duration) -> Result<(bool, Output)> {
    let mut child: Child = command.spawn()?;
    std::thread::sleep(delay);
    let ended = child.try_wait()?.is_some();
    if !ended {
        child.kill()?;
    }
    Ok((!ended, child.wait_with_output()?))
}
