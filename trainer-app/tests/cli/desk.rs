//! A directory in which the program runs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::tiny_base::lay_tiny_base;

/// A directory with a tiny base and rows that a single word decides.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let mut rows = String::from("id,body,team\n");
        for row in 0..160 {
            let (class, decides) = [("x", &words[0]), ("y", &words[1])][row % 2];
            let filler = &words[2 + row % (words.len() - 2)];
            writeln!(rows, "{row},{filler} {decides} {filler},{class}").unwrap();
        }
        std::fs::write(directory.path().join("rows.csv"), rows).unwrap();
        Self { directory }
    }

    /// The losses of every step of a run on the rows.
    pub(crate) fn losses(&self, line: &str, name: &str) -> Vec<f64> {
        self.says(&format!("{line} --name {name}"));
        let lines = std::fs::read_to_string(self.path(&format!("runs/rows/{name}/metrics.jsonl")));
        let lines = lines.unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["kind"] == "step")
            .map(|line| line["loss"].as_f64().unwrap())
            .collect()
    }

    /// Puts questions there in SQuAD's layout: the answer is the word after the one that is asked for.
    pub(crate) fn write_questions(&self) {
        let words = std::fs::read_to_string(self.path("base").join("vocab.txt")).unwrap();
        let whole = |word: &&str| !word.starts_with('#') && !word.starts_with('[');
        let words: Vec<&str> = words.lines().filter(whole).collect();
        let file = |paragraphs: usize| {
            let paragraphs = (0..paragraphs).map(|index| {
                // 24 words in an order of its own, so that a row of 24 tokens needs several windows.
                let context: Vec<&str> =
                    (0..24).map(|place| words[(index * 5 + place * 7) % words.len()]).collect();
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

    /// Standard error of a command whose arguments are invalid.
    pub(crate) fn refuses_usage(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        said
    }
}

pub(crate) const TRAIN: &str = "train --train rows.csv --text body --label team --base base --device cpu \
                     --json --size 4 --epochs 3 --batch-size 8 --lr 1e-2 --max-length 16";
