//! A Python with the packages that ours is compared with, made below the target folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::train;

/// The packages, pinned; `docs/performance.md` compares with these.
const PACKAGES: [&str; 4] =
    ["torch==2.9.1", "transformers==4.57.6", "adapters==1.3.0", "peft==0.18.1"];

/// The Python given, or one with the packages, made once.
pub(crate) fn python(shell: &Shell, given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(python) = given {
        return Ok(python);
    }
    let environment = train::target().join("peers");
    let bin = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let python = environment.join(bin);
    // Written when all of it is there: an environment that broke off is made again.
    let whole = environment.join("complete");
    if is_complete(&whole) {
        return Ok(python);
    }
    cmd!(shell, "python3 -m venv --clear {environment}").run()?;
    cmd!(shell, "{python} -m pip install --quiet --disable-pip-version-check {PACKAGES...}")
        .run()?;
    ensure!(python.is_file(), "{} is missing after pip has installed", python.display());
    shell.write_file(&whole, PACKAGES.join("\n"))?;
    Ok(python)
}

/// Whether the packages that are wanted today were installed.
fn is_complete(mark: &Path) -> bool {
    std::fs::read_to_string(mark).is_ok_and(|text| text == PACKAGES.join("\n"))
}
