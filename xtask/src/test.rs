//! Every test, with the profile and the features of `cargo xtask train`, so that Burn is built once.

use anyhow::Result;
use xshell::{Shell, cmd};

pub(crate) fn run(shell: &Shell) -> Result<()> {
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
