//! A Python environment with the packages that ours is compared with, below the target directory.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::train;

/// The pinned packages, which `docs/performance.md` compares with.
const PACKAGES: [&str; 4] =
    ["torch==2.9.1", "transformers==4.57.6", "adapters==1.3.0", "peft==0.18.1"];

/// The given Python, or an environment with the packages, created once.
pub(crate) fn python(shell: &Shell, given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(python) = given {
        return Ok(python);
    }
    let environment = train::target().join("peers");
    let bin = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let python = environment.join(bin);
    // Written when the installation is complete; otherwise the environment is created again.
    let complete = environment.join("complete");
    if is_complete(&complete) {
        return Ok(python);
    }
    cmd!(shell, "python3 -m venv --clear {environment}").run()?;
    cmd!(shell, "{python} -m pip install --quiet --disable-pip-version-check {PACKAGES...}")
        .run()?;
    ensure!(python.is_file(), "{} is missing after the installation", python.display());
    shell.write_file(&complete, PACKAGES.join("\n"))?;
    Ok(python)
}

/// Whether the current packages were installed.
fn is_complete(mark: &Path) -> bool {
    std::fs::read_to_string(mark).is_ok_and(|text| text == PACKAGES.join("\n"))
}
