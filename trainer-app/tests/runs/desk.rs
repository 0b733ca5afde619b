//! A directory with a tiny base and rows that a single word decides.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

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

    /// Puts questions there in SQuAD's layout, with paragraphs of several lengths: the answer is the word after the one
    /// that is asked for.
    pub(crate) fn write_questions(&self) {
        let file = |paragraphs: usize| {
            let paragraphs = (0..paragraphs).map(|index| {
                let word =
                    |place: usize| self.words[(index * 5 + place * 7) % self.words.len()].as_str();
                let context: Vec<&str> = (0..10 + index % 7).map(word).collect();
                let answer_start = context[..9].iter().map(|word| word.len() + 1).sum::<usize>();
                json!({ "context": context.join(" "), "qas": [{
                    "id": format!("q{index}"),
                    "question": context[8],
                    "answers": [{ "text": context[9], "answer_start": answer_start }],
                }] })
            });
            let paragraphs: Vec<Value> = paragraphs.collect();
            json!({ "version": "1.1", "data": [{ "title": "Words", "paragraphs": paragraphs }] })
        };
        let squad = self.path("squad");
        std::fs::create_dir(&squad).unwrap();
        for (name, paragraphs) in [("train-v1.1.json", 40), ("dev-v1.1.json", 12)] {
            std::fs::write(squad.join(name), file(paragraphs).to_string()).unwrap();
        }
    }

    /// Trains a run that saves after every step, and kills it in its second epoch.
    pub(crate) fn kill_in_second_epoch(&self, line: &str, run: &str) {
        let mut child = self.start_until_second_epoch(line, run);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!self.path(run).join("result.json").exists(), "the run ended before it was killed");
    }

    /// Starts a run that saves after every step, and returns when it is in its second epoch.
    pub(crate) fn start_until_second_epoch(&self, line: &str, run: &str) -> Child {
        let name = run.rsplit('/').next().unwrap();
        let mut command = self.command(&format!("{line} --name {name} --checkpoint-every 0"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while self.steps(run) < Some(25) {
            assert!(child.try_wait().unwrap().is_none(), "{line}: it ended too early");
            std::thread::yield_now();
        }
        child
    }

    /// The step of the newest checkpoint of a run.
    fn steps(&self, run: &str) -> Option<usize> {
        self.checkpoints(run).last().map(|(_, steps, _)| *steps)
    }

    /// The checkpoints of a run, the newest last: number of the save, step, directory.
    pub(crate) fn checkpoints(&self, run: &str) -> Vec<(usize, usize, PathBuf)> {
        let entries = std::fs::read_dir(self.path(run).join("checkpoint")).into_iter().flatten();
        let mut found: Vec<(usize, usize, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.strip_prefix("step-")?;
                let (steps, save) = name.split_once("-save-")?;
                Some((save.parse().ok()?, steps.parse().ok()?, path.clone()))
            })
            .collect();
        found.sort();
        found
    }

    pub(crate) fn adapter(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.path(run).join("adapter.safetensors")).unwrap()
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
