//! Packages the library crates as for crates.io, and builds them from their packages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::train;

const LIBRARIES: [&str; 4] = ["burn-fused", "burn-bert", "burn-adapters", "glue-data"];

/// `cargo package` for every library crate.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let crates = LIBRARIES.map(|name| ["-p", name]).concat();
    // Cargo would verify each with a Burn of its own, in the debug profile.
    cmd!(shell, "cargo package --quiet --locked --allow-dirty --no-verify {crates...}").run()?;
    build_packages(shell)
}

/// Builds the packages as dependencies of an empty crate with the manifest of trainer-app: the features of Burn are then
/// those of the other builds, so that it is not built again.
fn build_packages(shell: &Shell) -> Result<()> {
    let packages = train::target().join("package");
    let workspace = packages.join("workspace");
    shell.remove_path(&workspace)?;
    shell.create_dir(workspace.join("trainer-app/src"))?;
    let root = train::workspace();
    for file in ["Cargo.lock", "trainer-app/Cargo.toml"] {
        shell.copy_file(root.join(file), workspace.join(file))?;
    }
    shell.write_file(workspace.join("trainer-app/src/lib.rs"), "//! Empty.\n")?;
    shell.write_file(workspace.join("trainer-app/src/main.rs"), "fn main() {}\n")?;
    let version = env!("CARGO_PKG_VERSION");
    let mut patches = String::from("\n[patch.crates-io]\n");
    for name in LIBRARIES {
        let package = packages.join(format!("{name}-{version}.crate"));
        cmd!(shell, "tar -xzf {package} -C {workspace}").run()?;
        let unpacked = workspace.join(name);
        fs::rename(workspace.join(format!("{name}-{version}")), &unpacked)?;
        ensure!(unpacked.join("README.md").is_file(), "the package {name} has no README.md");
        patches += &format!("{name} = {{ path = \"{name}\" }}\n");
    }
    let manifest = workspace_manifest(&root)?;
    shell.write_file(workspace.join("Cargo.toml"), manifest + &patches)?;
    let _directory = shell.push_dir(&workspace);
    cmd!(shell, "cargo build --quiet --release --offline --package trainer-app --lib").run()?;
    Ok(())
}

/// The manifest of the workspace with trainer-app as its only listed member.
fn workspace_manifest(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .context("the workspace lists no members")?;
    Ok(manifest.replace(members, "members = [\"trainer-app\"]"))
}
