//! Feeds damaged files to every reader: the harnesses of the crate `fuzz`.

use anyhow::Result;
use clap::Args;
use xshell::{Shell, cmd};

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// Seconds for each reader
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// End a reader after this many inputs, if that comes first
    #[arg(long, value_name = "N")]
    inputs: Option<u64>,
    /// Only readers whose name contains this
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
    /// Chooses the damage; another seed, other inputs
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

impl FuzzArgs {
    /// Every reader, for so long.
    pub(crate) fn for_seconds(seconds: u64) -> Self {
        Self { seconds, inputs: None, reader: None, seed: 1 }
    }
}

pub(crate) fn run(shell: &Shell, args: &FuzzArgs) -> Result<()> {
    let FuzzArgs { seconds, inputs, reader, seed } = args;
    // Each harness measures the memory of its whole process, so harnesses run in turn within one.
    let mut cargo = cmd!(
        shell,
        "cargo test --release --locked --workspace --test readers -- --nocapture --test-threads 1"
    )
    .args(reader)
    .env("FUZZ_SECONDS", seconds.to_string())
    .env("FUZZ_SEED", seed.to_string());
    if let Some(inputs) = inputs {
        cargo = cargo.env("FUZZ_INPUTS", inputs.to_string());
    }
    cargo.run()?;
    Ok(())
}
