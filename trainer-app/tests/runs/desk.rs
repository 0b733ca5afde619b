//! A directory with a tiny base and rows that a single word decides.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::tiny_base::lay_tiny_base;

/// A run of three epochs with twenty steps each.
pub(crate) const TRAIN: &str = "train --train rows.csv --text body --label team --base base --device cpu --json \
                                --size 4 --epochs 3 --batch-size 8 --lr 1e-2 --max-length 16";

/// The directory; removed at the end.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
    words: Vec<String>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let desk = Self { directory, words };
        desk.write_rows("rows.csv", 160);
        desk
    }

    /// Writes so many rows into a file.
    pub(crate) fn write_rows(&self, name: &str, count: usize) {
        let mut rows = String::from("id,body,team\n");
        for row in 0..count {
            let (class, decides) = [("x", &self.words[0]), ("y", &self.words[1])][row % 2];
            let filler = &self.words[2 + row % (self.words.len() - 2)];
            writeln!(rows, "{row},{filler} {decides} {filler},{class}").unwrap();
        }
        std::fs::write(self.path(name), rows).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command.env("TRAINER_CACHE", self.path("cache"));
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Standard output of a command that has to succeed.
    pub(crate) fn says(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that has to fail, and not by a panic.
    pub(crate) fn refuses(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{line} succeeded");
        assert!(!said.contains("panicked"), "{line}: {said}");
        said
    }

    /// The lines of a run's metrics.
    pub(crate) fn metrics(&self, run: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The losses of every step of a run, as they are written.
    pub(crate) fn losses(&self, run: &str) -> Vec<String> {
        let lines = self.metrics(run).into_iter();
        lines.filter(|line| line["kind"] == "step").map(|line| line["loss"].to_string()).collect()
    }
}
