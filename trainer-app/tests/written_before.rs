//! Files written by version 0.1.0 (commit 8c407d9) are still read: `tests/fixtures/written-by-0.1.0`.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod tiny_base;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tiny_base::lay_tiny_base;

/// A directory with the tiny base and a copy of the old files.
struct Old {
    directory: tempfile::TempDir,
}

impl Old {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        lay_tiny_base(directory.path());
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/written-by-0.1.0");
        copy(&files, directory.path());
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Standard output of a command that has to succeed.
    fn says(&self, line: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        let output = command.env("TRAINER_CACHE", self.path("cache")).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(line)).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

const ROWS: &str = "--input rows.csv --text body --label team --base base --device cpu --json";

#[test]
fn an_adapter_file_is_read() {
    let old = Old::new();
    let scores = old.json(&format!("evaluate runs/rows/finished/adapter.safetensors {ROWS}"));
    assert_eq!(scores["scores"]["accuracy"], 1.0);
    let inspected = old.says("adapter inspect runs/rows/houlsby/adapter.safetensors");
    assert!(inspected.contains("labels    x, y"), "{inspected}");
}

#[test]
fn an_adapter_file_for_a_named_task_is_scored_on_its_rows() {
    let old = Old::new();
    let scores =
        old.json("evaluate runs/helpdesk/published/adapter.safetensors --base base --device cpu --split test --json");
    assert_eq!(scores["rows"], 150);
}

#[test]
fn a_bank_is_read_and_changed() {
    let old = Old::new();
    let tasks = |line: &str| -> Vec<String> {
        old.says(line)
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                line["task"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let verify = "bank verify tasks.bank --base base --device cpu --json";
    assert_eq!(tasks(verify), ["finished", "houlsby"]);
    old.says("bank add tasks.bank runs/rows/stopped/adapter.safetensors --name stopped");
    old.says("bank remove tasks.bank houlsby");
    old.says("bank compact tasks.bank");
    assert_eq!(tasks(verify), ["finished", "stopped"]);
}

#[test]
fn a_configuration_is_run_again() {
    let old = Old::new();
    let result = old.json("train --config runs/rows/finished/config.toml --name again --json");
    assert_eq!(result["score"], 1.0);
}

#[test]
fn a_stopped_run_is_resumed() {
    let old = Old::new();
    let result = old.json("train --resume runs/rows/stopped --json --device cpu");
    assert_eq!(result["epochs"], 16);
    assert_eq!(result["steps"], 80);
    assert_eq!(result["score"], 1.0);
}

#[test]
fn a_ledger_is_read() {
    let old = Old::new();
    let plan = old.says("sweep tiny.toml --base base --device cpu --dry-run");
    assert!(plan.contains("0 of 3 cells to run"), "{plan}");
    old.says("report sweeps/tiny");
    assert!(old.path("sweeps/tiny/report.html").is_file());
}
