//! A directory with a tiny base and the file of a small sweep.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::tiny_base::lay_tiny_base;

/// Six cells of a moment each.
pub(crate) const GRID: &str = "version = 1

[[grid]]
tasks = ['helpdesk']
methods = ['houlsby', 'layer-norm']
sizes = [2, 4]
learning_rates = [1e-3]
epochs = [1]
seeds = [0, 1]
limit = 32
max_length = 16
";

/// The command that runs them.
pub(crate) const SWEEP: &str = "sweep tiny.toml --base base --device cpu";

/// The directory; removed at the end.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    /// With a grid in `tiny.toml`.
    pub(crate) fn new(grid: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        lay_tiny_base(directory.path());
        let desk = Self { directory };
        desk.write("tiny.toml", grid);
        desk
    }

    /// Writes a file, in directories that are created for it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command.env("TRAINER_CACHE", self.path("cache")).env("RAYON_NUM_THREADS", "1");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Standard output and standard error of a command that has to succeed.
    pub(crate) fn says_both(&self, line: &str) -> (String, String) {
        let output = self.run(line);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{line}: {stderr}");
        (String::from_utf8(output.stdout).unwrap(), stderr)
    }

    /// Standard output of a command that has to succeed.
    pub(crate) fn says(&self, line: &str) -> String {
        self.says_both(line).0
    }

    /// The object that a command with `--json` prints.
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{line} --json"))).unwrap()
    }

    /// Standard error of a command that has to end with this exit code, and not by a panic.
    pub(crate) fn ends_with(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
        said
    }

    /// The entries of a ledger of the sweep, each as JSON.
    pub(crate) fn entries(&self, ledger: &str) -> Vec<Value> {
        let text = self.read(&format!("sweeps/tiny/{ledger}"));
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of a directory's entries, sorted; none where it does not exist.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(name)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The cells of a sweep of the embedded task that have a run.
    pub(crate) fn cells(&self, sweep: &str) -> Vec<String> {
        let mut names = self.names(&format!("sweeps/{sweep}/runs/helpdesk"));
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// Two rows of CoLA, over and over, with a third text of its own.
    pub(crate) fn write_cola(&self, directory: &str, text: &str) {
        let rows = format!("s\t0\t\tone sentence\ns\t1\t\t{text}\n");
        self.write(&format!("{directory}/CoLA/train.tsv"), &rows.repeat(8));
        self.write(&format!("{directory}/CoLA/dev.tsv"), &rows.repeat(3));
        let test = "index\tsentence\n0\tone\n1\ttwo\n2\tthree\n";
        self.write(&format!("{directory}/CoLA/test.tsv"), test);
    }
}
