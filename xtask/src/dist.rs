//! Builds what is distributed: the stripped program with shell completions and man pages, and a wheel for Python.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::{Shell, cmd};

use crate::{device, train};

/// Builds the wheel; 1.x keeps the options of `pyproject.toml` stable.
const MATURIN: &str = "maturin==1.16.0";

#[derive(Args)]
pub(crate) struct DistArgs {
    /// Device to build for: cpu, wgpu or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
}

/// The directory of everything that is distributed.
fn directory() -> PathBuf {
    train::target().join("dist")
}

/// `cargo xtask dist`: the program, its completions, man pages and licenses in `target/dist`.
pub(crate) fn run(shell: &Shell, args: &DistArgs) -> Result<()> {
    let (backend, _) = device::choose(&["--device".to_owned(), args.device.clone()]);
    let features: Vec<&str> =
        backend.feature().map_or_else(Vec::new, |feature| vec!["--features", feature]);
    // Only the program itself is built again for this, and none of its dependencies.
    cmd!(
        shell,
        "cargo rustc --release --locked --package trainer-app --bin trainer {features...} -- -C strip=symbols"
    )
    .run()?;
    let directory = directory();
    for part in ["completions", "man"] {
        shell.remove_path(directory.join(part))?;
        shell.create_dir(directory.join(part))?;
    }
    let built = train::program();
    let trainer = directory.join(built.file_name().context("the program has a name")?);
    shell.copy_file(&built, &trainer)?;
    for (name, file) in [
        ("bash", "trainer.bash"),
        ("zsh", "_trainer"),
        ("fish", "trainer.fish"),
        ("powershell", "_trainer.ps1"),
        ("elvish", "trainer.elv"),
    ] {
        let script = cmd!(shell, "{trainer} completions {name}").quiet().read()?;
        shell.write_file(directory.join("completions").join(file), script + "\n")?;
    }
    let man = directory.join("man");
    cmd!(shell, "{trainer} man {man}").quiet().run()?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        shell.copy_file(train::workspace().join(license), directory.join(license))?;
    }
    eprintln!("{}", directory.display());
    Ok(())
}

/// `cargo xtask wheel`: a wheel of the program in `target/dist`, tried in a fresh virtual environment.
pub(crate) fn wheel(shell: &Shell) -> Result<()> {
    let maturin = tool(shell)?;
    let directory = directory();
    shell.create_dir(&directory)?;
    let wheels = || -> Result<Vec<PathBuf>> {
        let mut files = shell.read_dir(&directory)?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "whl"));
        Ok(files)
    };
    for old in wheels()? {
        shell.remove_path(old)?;
    }
    let manifest = train::workspace().join("trainer-app/Cargo.toml");
    cmd!(shell, "{maturin} build --release --locked --manifest-path {manifest} --out {directory}")
        .run()?;
    let wheels = wheels()?;
    ensure!(wheels.len() == 1, "expected one wheel in {}: {wheels:?}", directory.display());
    check(shell, &wheels[0])?;
    eprintln!("{}", wheels[0].display());
    Ok(())
}

/// Installs the wheel into a fresh virtual environment and runs the program in an empty directory.
fn check(shell: &Shell, wheel: &Path) -> Result<()> {
    let environment = train::target().join("wheel-check");
    cmd!(shell, "python3 -m venv --clear {environment}").run()?;
    let bin = environment.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let python = bin.join(format!("python{}", std::env::consts::EXE_SUFFIX));
    cmd!(shell, "{python} -m pip install --quiet --disable-pip-version-check --no-index {wheel}")
        .run()?;
    let trainer = bin.join(format!("trainer{}", std::env::consts::EXE_SUFFIX));
    let empty = shell.create_temp_dir()?;
    let _here = shell.push_dir(empty.path());
    let version = cmd!(shell, "{trainer} --version").read()?;
    ensure!(version.starts_with("trainer "), "the wheel's program printed `{version}`");
    cmd!(shell, "{trainer} data list").ignore_stdout().ignore_stderr().run()?;
    Ok(())
}

/// Maturin, installed once below the target directory.
fn tool(shell: &Shell) -> Result<PathBuf> {
    // The version is part of the path, so that another version is installed when it changes.
    let environment = train::tools().join(MATURIN);
    let bin = environment.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let maturin = bin.join(format!("maturin{}", std::env::consts::EXE_SUFFIX));
    if !maturin.is_file() {
        cmd!(shell, "python3 -m venv --clear {environment}").run()?;
        let python = bin.join(format!("python{}", std::env::consts::EXE_SUFFIX));
        cmd!(shell, "{python} -m pip install --quiet --disable-pip-version-check {MATURIN}")
            .run()?;
    }
    Ok(maturin)
}
