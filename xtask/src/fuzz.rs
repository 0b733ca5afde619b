//! `cargo xtask fuzz`: the harnesses of the crate `fuzz`, for a time or a number of inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use xshell::{Shell, cmd};

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// Seconds for each reader
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Seconds for each kind of file instead, divided among its readers
    #[arg(long, value_name = "SECONDS", conflicts_with = "seconds")]
    kind_seconds: Option<u64>,
    /// Stop a reader after this many inputs, if that comes first
    #[arg(long, value_name = "N")]
    inputs: Option<u64>,
    /// Only readers whose path (kind::name) contains this
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
    /// Seed of the random edits
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Kinds of files at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
}

impl FuzzArgs {
    /// A minute for each kind of file, two kinds at a time.
    pub(crate) fn minute_each() -> Self {
        let seconds = 60;
        Self { seconds, kind_seconds: Some(seconds), inputs: None, reader: None, seed: 1, jobs: 2 }
    }
}

pub(crate) fn run(shell: &Shell, args: &FuzzArgs) -> Result<()> {
    let harnesses = build(shell)?;
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for reader in list(&harnesses)? {
        if args.reader.as_ref().is_none_or(|part| reader.contains(part)) {
            let kind = reader.split("::").next().unwrap_or_default().to_owned();
            kinds.entry(kind).or_default().push(reader);
        }
    }
    ensure!(!kinds.is_empty(), "no reader has a name that contains the one given");
    let waiting = Mutex::new(kinds);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = lock(&waiting).pop_first();
                    let Some((_, readers)) = next else { break };
                    for reader in &readers {
                        if let Err(error) = run_reader(&harnesses, reader, readers.len(), args) {
                            lock(&failed).push(format!("{reader}: {error:#}"));
                        }
                    }
                }
            });
        }
    });
    let failed = lock(&failed);
    ensure!(failed.is_empty(), "{} readers failed:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// A thread that panicked has changed nothing that is read here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Builds the test binary of the harnesses, with the features of all other tests.
fn build(shell: &Shell) -> Result<PathBuf> {
    let json = cmd!(
        shell,
        "cargo test --release --locked --workspace --test readers --no-run --message-format json"
    )
    .quiet()
    .read()?;
    let mut messages = json.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_readers = |message: &Value| message["target"]["name"] == "readers";
    let message = messages.find(is_readers).context("cargo built no test `readers`")?;
    Ok(message["executable"].as_str().context("the test `readers` has no executable")?.into())
}

/// The paths of the harnesses, as in `tokenizers::vocab_txt`.
fn list(harnesses: &Path) -> Result<Vec<String>> {
    let output = Command::new(harnesses).args(["--list", "--format", "terse"]).output()?;
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs one harness in a process of its own, whose memory is then that of the reader.
fn run_reader(
    harnesses: &Path,
    reader: &str,
    readers_of_kind: usize,
    args: &FuzzArgs,
) -> Result<()> {
    let seconds = match args.kind_seconds {
        Some(seconds) => seconds.div_ceil(readers_of_kind as u64),
        None => args.seconds,
    };
    let mut command = Command::new(harnesses);
    command.args([reader, "--exact", "--nocapture"]);
    command.env("FUZZ_SECONDS", seconds.to_string()).env("FUZZ_SEED", args.seed.to_string());
    if let Some(inputs) = args.inputs {
        command.env("FUZZ_INPUTS", inputs.to_string());
    }
    // Threads only cost time for texts of a few words.
    command.env("TOKENIZERS_PARALLELISM", "false");
    // Some readers take paths. Files in memory are read several times as fast.
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() {
        command.env("TMPDIR", in_memory);
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if let Some(figures) = text.lines().find(|line| line.starts_with("fuzz ")) {
        eprintln!("{figures}");
    }
    ensure!(output.status.success(), "{}", text.trim());
    Ok(())
}
