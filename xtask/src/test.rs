//! Runs every test, with the profile and features of `cargo xtask train`, so that Burn is built once.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::{device, train};

/// The resources of tests marked `#[ignore]`; the name of such a test contains the resource.
pub(crate) struct Resources {
    /// Directory of the base `minilm`.
    minilm: Option<OsString>,
    /// Directory of the published data, with `glue/`, `squad/` and so on: `TRAINER_DATA`.
    published: Option<OsString>,
}

impl Resources {
    /// Downloads the base, and looks for the data.
    pub(crate) fn find(shell: &Shell) -> Self {
        let minilm = minilm(shell)
            .inspect_err(|error| eprintln!("the base minilm is not available: {error:#}"))
            .ok();
        let published = std::env::var_os("TRAINER_DATA").filter(|data| Path::new(data).is_dir());
        Self { minilm: minilm.map(Into::into), published }
    }

    /// Whether the base is available.
    pub(crate) fn has_minilm(&self) -> bool {
        self.minilm.is_some()
    }

    /// The tests that are skipped, and what they need; one line each.
    pub(crate) fn skipped(&self) -> Vec<&'static str> {
        let minilm = "skipped: tests of the base minilm, which could not be downloaded";
        let published = "skipped: tests of the published data; TRAINER_DATA is not a directory";
        let missing = [(&self.minilm, minilm), (&self.published, published)];
        missing.into_iter().filter(|(found, _)| found.is_none()).map(|(_, line)| line).collect()
    }

    fn variables(&self) -> Vec<(&'static str, &OsString)> {
        let variables = [("TRAINER_MINILM", &self.minilm), ("TRAINER_DATA", &self.published)];
        variables.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect()
    }
}

/// The output of `trainer base --json`, as far as it is used here.
#[derive(Deserialize)]
struct Base {
    directory: String,
}

fn minilm(shell: &Shell) -> Result<String> {
    let trainer = train::build(shell, Backend::Cpu)?;
    let json = cmd!(shell, "{trainer} base minilm --json").read()?;
    let base: Base = serde_json::from_str(&json).context("reading what `trainer base` printed")?;
    Ok(base.directory)
}

/// `cargo xtask test`: every test on the CPU; for a GPU those that compare its results with the CPU's.
pub(crate) fn run(shell: &Shell, device: &str) -> Result<()> {
    let (backend, _) = device::choose(&["--device".to_owned(), device.to_owned()]);
    if let Some(feature) = backend.feature() {
        // One process and one test at a time, so that each kernel is compiled and tuned once.
        let feature = format!("trainer-app/{feature}");
        cmd!(
            shell,
            "cargo test --release --locked --workspace --features {feature} --test gpu -- --test-threads 1 --nocapture"
        )
        .env("TRAINER_TEST_DEVICE", device)
        .run()?;
        return Ok(());
    }
    ensure!(
        ["auto", "cpu"].contains(&device),
        "there is no device `{device}` to test; choose cpu, wgpu or cuda"
    );
    let resources = Resources::find(shell);
    on_cpu(shell, &resources)?;
    for line in resources.skipped() {
        eprintln!("{line}");
    }
    Ok(())
}

/// Every test on the CPU whose resources are available.
pub(crate) fn on_cpu(shell: &Shell, resources: &Resources) -> Result<()> {
    let skipped: Vec<&str> = [("minilm", &resources.minilm), ("published", &resources.published)]
        .into_iter()
        .filter(|(_, found)| found.is_none())
        .map(|(name, _)| name)
        .collect();
    let tests = if has_nextest(shell) {
        let mut filter = String::from("all()");
        for name in skipped {
            filter += &format!(" - test({name})");
        }
        cmd!(shell, "cargo nextest run --release --locked --workspace --no-fail-fast").args([
            "--run-ignored",
            "all",
            "-E",
            &filter,
        ])
    } else {
        let cargo = "cargo test --release --locked --workspace --lib --bins --tests --no-fail-fast";
        let mut cargo = cmd!(shell, "cargo").args(cargo.split(' ').skip(1));
        cargo = cargo.args(["--", "--include-ignored"]);
        for name in skipped {
            cargo = cargo.args(["--skip", name]);
        }
        cargo
    };
    tests.envs(resources.variables()).run()?;
    cmd!(shell, "cargo test --release --locked --workspace --doc").run()?;
    Ok(())
}

/// Whether `cargo nextest` is installed, which runs each test in its own process.
pub(crate) fn has_nextest(shell: &Shell) -> bool {
    cmd!(shell, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
