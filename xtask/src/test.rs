//! Every test, with the profile and the features of `cargo xtask train`, so that Burn is built once.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::device;

/// Runs every test on the CPU; for a GPU those that hold it to the CPU's numbers.
pub(crate) fn run(shell: &Shell, device: &str) -> Result<()> {
    let (backend, _) = device::choose(&["--device".to_owned(), device.to_owned()]);
    if let Some(feature) = backend.feature() {
        // One process, and one test after the other: each kernel is compiled and tuned once.
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
    if cmd!(shell, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
    {
        cmd!(shell, "cargo nextest run --release --locked --workspace --no-fail-fast").run()?;
    } else {
        cmd!(
            shell,
            "cargo test --release --locked --workspace --lib --bins --tests --no-fail-fast"
        )
        .run()?;
    }
    cmd!(shell, "cargo test --release --locked --workspace --doc").run()?;
    Ok(())
}
