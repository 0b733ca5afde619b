//! Feeds damaged files to every reader: the harnesses of the crate `fuzz`.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use xshell::{Shell, cmd};

use crate::test;

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

pub(crate) fn run(shell: &Shell, args: &FuzzArgs) -> Result<()> {
    let FuzzArgs { seconds, inputs, reader, seed } = args;
    // Each harness measures the memory of its whole process: nextest gives each its own, cargo runs them in turn.
    let cargo = if test::has_nextest(shell) {
        let filter = reader.as_ref().map_or("all()".to_owned(), |name| format!("test({name})"));
        // Harnesses may run for hours, and end by themselves.
        cmd!(
            shell,
            "cargo nextest run --release --locked --workspace --test readers --no-fail-fast"
        )
        .args(["--profile", "fuzz", "--success-output", "final", "-E", &filter])
    } else {
        cmd!(
            shell,
            "cargo test --release --locked --workspace --test readers -- --nocapture --test-threads 1"
        )
        .args(reader)
    };
    let mut cargo =
        cargo.env("FUZZ_SECONDS", seconds.to_string()).env("FUZZ_SEED", seed.to_string());
    if let Some(inputs) = inputs {
        cargo = cargo.env("FUZZ_INPUTS", inputs.to_string());
    }
    // Readers take paths; files in memory let them be fed several times as fast.
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() {
        cargo = cargo.env("TMPDIR", in_memory);
    }
    cargo.run()?;
    Ok(())
}
