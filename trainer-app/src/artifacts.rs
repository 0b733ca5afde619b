//! The layout of a run's directory: the only place that joins paths of a run, and the one writer of its files.
//!
//! ```text
//! runs/<task>/<name>/
//!   config.toml           enough to repeat the run
//!   metrics.jsonl         one line a step, one line an epoch
//!   adapter.safetensors   the best on validation so far
//!   predictions.json, nbest_predictions.json
//!                         what it answers to SQuAD's validation questions
//!   checkpoint/           what a stopped run goes on from; removed when the run has ended
//!   result.json           written last: a run that has it is finished
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use burn_adapters::file::atomic;

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    root: PathBuf,
}

impl RunDirectory {
    /// Makes a new directory `runs/task/name`; a default name that is taken gets a number.
    ///
    /// # Errors
    /// A chosen name that is taken, or a directory that cannot be made.
    pub fn create(
        runs: &Path,
        task: &str,
        chosen: Option<&str>,
        default_name: &str,
    ) -> Result<Self> {
        let parent = runs.join(task);
        fs::create_dir_all(&parent)
            .with_context(|| format!("making the directory {}", parent.display()))?;
        let taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AlreadyExists;
        let mut number = 1;
        loop {
            let name = match (chosen, number) {
                (Some(name), _) => name.to_owned(),
                (None, 1) => default_name.to_owned(),
                (None, number) => format!("{default_name}-{number}"),
            };
            let root = parent.join(&name);
            match fs::create_dir(&root) {
                Ok(()) => return Ok(Self { root }),
                Err(error) if taken(&error) && chosen.is_none() => number += 1,
                Err(error) if taken(&error) => {
                    bail!(
                        "there is a run at {} already; choose another --name, or go on with it: --resume {}",
                        root.display(),
                        root.display()
                    );
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("making the directory {}", root.display()));
                }
            }
        }
    }

    /// The directory `runs/task/name`, made where it is not there yet.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open_or_create(runs: &Path, task: &str, name: &str) -> Result<Self> {
        let root = runs.join(task).join(name);
        fs::create_dir_all(&root)
            .with_context(|| format!("making the directory {}", root.display()))?;
        Ok(Self { root })
    }

    /// An existing run.
    ///
    /// # Errors
    /// A directory without a `config.toml`.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self { root: root.to_owned() };
        if !run.config().is_file() {
            bail!(
                "{} is not a run: it has no config.toml; runs are in runs/<task>/<name>",
                root.display()
            );
        }
        Ok(run)
    }

    /// The run below `runs` that was touched last and has not ended.
    ///
    /// # Errors
    /// No such run.
    pub fn newest_unfinished(runs: &Path) -> Result<Self> {
        let touched = |run: &Self| {
            fs::metadata(run.metrics())
                .and_then(|metadata| metadata.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        directories(runs)
            .iter()
            .flat_map(|task| directories(task))
            .filter_map(|root| Self::open(&root).ok())
            .filter(|run| !run.is_finished())
            .max_by_key(touched)
            .with_context(|| format!("no unfinished run is below {}", runs.display()))
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config.toml`
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// `metrics.jsonl`
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// `adapter.safetensors`
    pub fn adapter(&self) -> PathBuf {
        self.root.join("adapter.safetensors")
    }

    /// `predictions.json`
    pub fn predictions(&self) -> PathBuf {
        self.root.join("predictions.json")
    }

    /// `nbest_predictions.json`
    pub fn n_best_predictions(&self) -> PathBuf {
        self.root.join("nbest_predictions.json")
    }

    /// `checkpoint/`
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// `result.json`
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// `trainer.log`
    pub fn log(&self) -> PathBuf {
        self.root.join("trainer.log")
    }

    /// Whether the run has ended.
    pub fn is_finished(&self) -> bool {
        self.result().is_file()
    }
}

/// Replaces the content of a file, whole or not at all; see [`atomic`].
///
/// # Errors
/// What the file system says, with the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_that_is_taken_gets_a_number() {
        let runs = tempfile::tempdir().unwrap();
        let first = RunDirectory::create(runs.path(), "cola", None, "houlsby-64").unwrap();
        let second = RunDirectory::create(runs.path(), "cola", None, "houlsby-64").unwrap();
        assert!(first.root().ends_with("cola/houlsby-64"));
        assert!(second.root().ends_with("cola/houlsby-64-2"));
    }

    #[test]
    fn a_chosen_name_that_is_taken_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        RunDirectory::create(runs.path(), "cola", Some("mine"), "houlsby-64").unwrap();
        let error =
            RunDirectory::create(runs.path(), "cola", Some("mine"), "houlsby-64").unwrap_err();
        assert!(error.to_string().contains("--resume"), "{error}");
    }

    #[test]
    fn only_unfinished_runs_are_taken_up() {
        let runs = tempfile::tempdir().unwrap();
        let finished = RunDirectory::create(runs.path(), "cola", None, "a").unwrap();
        write_atomically(&finished.config(), b"").unwrap();
        write_atomically(&finished.result(), b"{}").unwrap();
        assert!(RunDirectory::newest_unfinished(runs.path()).is_err());
        let stopped = RunDirectory::create(runs.path(), "cola", None, "b").unwrap();
        write_atomically(&stopped.config(), b"").unwrap();
        assert_eq!(RunDirectory::newest_unfinished(runs.path()).unwrap().root(), stopped.root());
    }
}
