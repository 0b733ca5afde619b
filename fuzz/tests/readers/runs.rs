//! Files of a training run: checkpoints, metrics and the configuration.

use std::path::{Path, PathBuf};

use fuzz::Harness;
use trainer_app::learner::checkpoint::check_files;
use trainer_app::learner::metrics_file::known_lines;
use trainer_app::learner::progress::Progress;
use trainer_app::run_config::RunConfig;
use trainer_app::toml_file::MAX_BYTES;

use crate::files::JSON;

/// Each file of a checkpoint is some 30 kB, and is held as bytes and as tensors.
const CHECKPOINT: usize = 16 << 20;
/// Of lines of at most 1 MB, of which those that stay are copied.
const TEXT: usize = 4 << 20;
/// A longer file is refused before it is parsed. A token of one byte is held twice, and the lists of tokens double when
/// they grow.
const TOML: usize = 128 * MAX_BYTES;

/// A file of a run that version 0.1.0 stopped: its checkpoints have no checksums that would keep damage from the readers.
fn stopped(name: &str) -> Vec<u8> {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../trainer-app/tests/fixtures/written-by-0.1.0/runs/rows/stopped");
    let path: PathBuf = runs.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn checkpoint(name: &str) -> Vec<u8> {
    stopped(&format!("checkpoint/step-000000041/{name}"))
}

#[test]
fn checkpoint_progress() {
    let (trained, optimizer) = (checkpoint("trained.bpk"), checkpoint("optimizer.bpk"));
    let seeds = [checkpoint("progress.json")];
    Harness { name: "checkpoint_progress", seeds: &seeds, memory: JSON }
        .run(|bytes| check_files(bytes, trained.clone(), optimizer.clone()).is_ok());
}

#[test]
fn checkpoint_tensors() {
    let (progress, optimizer) = (checkpoint("progress.json"), checkpoint("optimizer.bpk"));
    let seeds = [checkpoint("trained.bpk")];
    Harness { name: "checkpoint_tensors", seeds: &seeds, memory: CHECKPOINT }
        .run(|bytes| check_files(&progress, bytes.to_vec(), optimizer.clone()).is_ok());
}

#[test]
fn checkpoint_moments() {
    let (progress, trained) = (checkpoint("progress.json"), checkpoint("trained.bpk"));
    let seeds = [checkpoint("optimizer.bpk")];
    Harness { name: "checkpoint_moments", seeds: &seeds, memory: CHECKPOINT }
        .run(|bytes| check_files(&progress, trained.clone(), bytes.to_vec()).is_ok());
}

#[test]
fn metrics() {
    let seeds = [stopped("metrics.jsonl")];
    let progress = Progress { steps: 41, ..Progress::default() };
    Harness { name: "metrics", seeds: &seeds, memory: TEXT }.run(|bytes| {
        let (kept, lost) = known_lines(bytes, &progress);
        // What is kept stays as it is.
        assert_eq!(known_lines(&kept, &progress), (kept.clone(), lost));
        lost == 0
    });
}

#[test]
fn config() {
    let seeds = [stopped("config.toml")];
    Harness { name: "config", seeds: &seeds, memory: TOML }
        .run(|bytes| str::from_utf8(bytes).is_ok_and(|text| RunConfig::parse(text).is_ok()));
}
