//! One run on a tiny base, resumed after every interruption.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::program::Program;
use super::scenario::Scenario;
use crate::train::workspace;

/// Rows of the task in every scenario.
pub(crate) const ROWS: usize = 60;

/// A run, with or without cached states on disk.
pub(crate) struct Training {
    line: String,
}

impl Training {
    pub(crate) fn new(cached: bool) -> Self {
        let cache = if cached { " --adapt-layers 1.. --cache disk" } else { "" };
        Self { line: format!("{TRAIN} --name r --epochs 3{cache}") }
    }
}

/// The start of every command that trains.
pub(crate) const TRAIN: &str = "train --train rows.csv --text body --label team --base base --device cpu --json \
                     --size 4 --batch-size 8 --lr 1e-2 --max-length 16 --checkpoint-every 0";

/// Writes a tiny base, and rows whose class follows from a single word.
pub(crate) fn write_base_and_rows(directory: &Path, rows: usize) -> Result<()> {
    let base = directory.join("base");
    std::fs::create_dir(&base)?;
    let fixtures = workspace().join("burn-adapters/tests/fixtures/base");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixtures.join(file), base.join(file))?;
    }
    let vocabulary = workspace().join("glue-data/tests/fixtures/vocab.txt");
    std::fs::copy(&vocabulary, base.join("vocab.txt"))?;
    let words = std::fs::read_to_string(vocabulary)?;
    let words: Vec<&str> =
        words.lines().filter(|word| !word.starts_with('#') && !word.starts_with('[')).collect();
    let mut csv = String::from("body,team\n");
    for row in 0..rows {
        let (class, decides) = [("x", words[0]), ("y", words[1])][row % 2];
        let filler = words[2 + row % (words.len() - 2)];
        writeln!(csv, "{filler} {decides} {filler},{class}")?;
    }
    std::fs::write(directory.join("rows.csv"), csv)?;
    Ok(())
}

/// The command line of a run with a name; base and rows must exist.
pub(crate) fn train_line(name: &str, seed: u64) -> String {
    format!("{TRAIN} --name {name} --epochs 1 --seed {seed}")
}

impl Scenario for Training {
    fn set_up(&self, directory: &Path) -> Result<()> {
        write_base_and_rows(directory, ROWS)
    }

    fn next(&self, program: &Program, directory: &Path) -> Result<Option<Command>> {
        let run = directory.join("runs/rows/r");
        if run.join("result.json").is_file() && !run.join("checkpoint").exists() {
            return Ok(None);
        }
        let line = if run.is_dir() {
            "train --resume runs/rows/r --json --checkpoint-every 0"
        } else {
            self.line.as_str()
        };
        Ok(Some(program.command(directory, line)))
    }

    fn final_state(&self, _: &Program, directory: &Path) -> Result<String> {
        run_state(&directory.join("runs/rows/r"))
    }
}

/// The adapter's hash, and the result and metrics without times.
pub(crate) fn run_state(run: &Path) -> Result<String> {
    let adapter = std::fs::read(run.join("adapter.safetensors")).context("reading the adapter")?;
    let result = std::fs::read(run.join("result.json")).context("reading the result")?;
    let mut result: Value = serde_json::from_slice(&result)?;
    without_times(&mut result);
    let mut state = format!("adapter {:016x}\nresult {result}\n", hash(&adapter));
    let metrics: PathBuf = run.join("metrics.jsonl");
    for line in std::fs::read_to_string(metrics)?.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        without_times(&mut line);
        writeln!(state, "{line}")?;
    }
    Ok(state)
}

/// Removes what differs between two identical runs on one machine.
pub(crate) fn without_times(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for key in ["seconds", "seconds_per_step", "memory_mib", "finished_at"] {
                entries.remove(key);
            }
            entries.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// A hash to compare files; not cryptographic.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
