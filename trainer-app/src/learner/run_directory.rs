//! The directory of a run: its layout, creation and locking.
//!
//! ```text
//! runs/<task>/<name>/
//!   config.toml           enough to repeat the run
//!   metrics.jsonl         one line per step, one line per epoch
//!   adapter.safetensors   the best on validation so far
//!   predictions.json, nbest_predictions.json
//!                         its answers to SQuAD's validation questions
//!   checkpoint/           from which a stopped run is resumed; removed when the run is finished
//!   result.json           written last: a run with this file is finished
//!   .lock                 locked by the process that runs it
//! ```
//!
//! A directory is created together with its `config.toml`, so that there is no run without one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use burn_adapters::file::atomic;

use crate::run_config::RunConfig;
use crate::system::lock::{InUse, Lock};

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    root: PathBuf,
    lock: Option<Arc<Lock>>,
}

impl RunDirectory {
    /// Creates a new directory `runs/task/name` with its `config.toml`, and locks it; a number is appended to a default
    /// name that is taken.
    ///
    /// # Errors
    /// A chosen name that is taken, or a directory that cannot be created.
    pub fn create(
        runs: &Path,
        task: &str,
        chosen: Option<&str>,
        default_name: &str,
        config: &RunConfig,
    ) -> Result<Self> {
        let parent = runs.join(task);
        let _creating = lock_parent(&parent)?;
        let mut number = 1;
        loop {
            let name = match (chosen, number) {
                (Some(name), _) => name.to_owned(),
                (None, 1) => default_name.to_owned(),
                (None, number) => format!("{default_name}-{number}"),
            };
            let run = Self::at(parent.join(&name));
            match run.state()? {
                State::Absent => {
                    run.fill(config)?;
                    return run.locked();
                }
                State::Run | State::Other if chosen.is_none() => number += 1,
                State::Run => bail!(
                    "there is already a run at {}; choose another --name, or resume it with --resume {}",
                    run.root.display(),
                    run.root.display()
                ),
                State::Other => bail!(
                    "{} already exists and is not a run, since it has no config.toml; choose another --name, or remove it",
                    run.root.display()
                ),
            }
        }
    }

    /// The directory `runs/task/name`, locked; it is created with this configuration if it does not exist.
    ///
    /// # Errors
    /// A run that is in use by another process, or what the file system reports.
    pub fn open_or_create(runs: &Path, task: &str, name: &str, config: &RunConfig) -> Result<Self> {
        let parent = runs.join(task);
        let run = Self::at(parent.join(name));
        {
            let _creating = lock_parent(&parent)?;
            if run.state()? == State::Absent {
                run.fill(config)?;
            }
        }
        run.locked()
    }

    /// An existing run.
    ///
    /// # Errors
    /// A directory without a `config.toml`.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self::at(root.to_owned());
        if !run.config().is_file() {
            bail!(
                "{} is not a run, since it has no config.toml; runs are in runs/<task>/<name>",
                root.display()
            );
        }
        Ok(run)
    }

    /// The most recently modified run below `runs` that is not finished and not in use; locked.
    ///
    /// # Errors
    /// No such run, or a lock that cannot be tried.
    pub fn newest_unfinished(runs: &Path) -> Result<Self> {
        let modified = |run: &Self| {
            fs::metadata(run.metrics())
                .or_else(|_| fs::metadata(run.config()))
                .and_then(|metadata| metadata.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let mut unfinished: Vec<(SystemTime, Self)> = directories(runs)
            .iter()
            .flat_map(|task| directories(task))
            .filter_map(|root| Self::open(&root).ok())
            .filter(|run| !run.is_finished() || run.checkpoints().exists())
            .map(|run| (modified(&run), run))
            .collect();
        unfinished.sort_by_key(|(modified, _)| *modified);
        let mut in_progress = Vec::new();
        for (_, run) in unfinished.into_iter().rev() {
            match run.locked() {
                Ok(run) => return Ok(run),
                Err(error) => match error.downcast::<InUse>() {
                    Ok(in_use) => in_progress.push(in_use.to_string()),
                    Err(error) => return Err(error),
                },
            }
        }
        let others = if in_progress.is_empty() {
            String::new()
        } else {
            format!(" that is not in progress: {}", in_progress.join(", "))
        };
        bail!("no unfinished run is below {}{others}", runs.display())
    }

    fn at(root: PathBuf) -> Self {
        Self { root, lock: None }
    }

    /// The same directory, locked by this process until all clones of it are dropped.
    ///
    /// # Errors
    /// [`InUse`] if another process has locked it.
    pub fn locked(self) -> Result<Self> {
        let lock = match self.lock {
            Some(lock) => lock,
            None => Arc::new(Lock::directory(&self.root)?),
        };
        Ok(Self { lock: Some(lock), ..self })
    }

    /// Removes temporary files that killed processes left in the directory.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn remove_leftovers(&self) -> Result<()> {
        let context = || format!("removing leftovers in {}", self.root.display());
        atomic::remove_partial(&self.root).with_context(context)?;
        atomic::remove_partial(&self.checkpoints()).with_context(context)?;
        // Temporary files of version 0.1.0.
        for entry in fs::read_dir(&self.root).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let is_temporary =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tmp"));
            if is_temporary && path.is_file() {
                fs::remove_file(path).with_context(context)?;
            }
        }
        Ok(())
    }

    /// Removes the checkpoints of a finished run.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn remove_checkpoints(&self) -> Result<()> {
        let removed = match fs::remove_dir_all(self.checkpoints()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| atomic::sync_directory(&self.root)),
        };
        removed.context("removing the checkpoints")
    }

    /// What exists at the path of the run, after removing what a process left that was killed before it wrote
    /// `config.toml`.
    fn state(&self) -> Result<State> {
        if self.config().exists() {
            return Ok(State::Run);
        }
        if self.root.is_dir() {
            self.remove_leftovers()?;
            // Succeeds only if it is empty.
            let _ = fs::remove_dir(&self.root);
        }
        Ok(if self.root.exists() { State::Other } else { State::Absent })
    }

    fn fill(&self, config: &RunConfig) -> Result<()> {
        let text = config.to_text()?;
        atomic::create_directory(&self.root, |partial| fs::write(partial.join("config.toml"), text))
            .with_context(|| format!("creating the directory {}", self.root.display()))
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

    /// Whether the run is finished.
    pub fn is_finished(&self) -> bool {
        self.result().is_file()
    }
}

/// What exists at the path of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Run,
    Other,
}

/// Creates the directory of a task's runs, and locks it while a run is created in it.
fn lock_parent(parent: &Path) -> Result<Lock> {
    fs::create_dir_all(parent)
        .with_context(|| format!("creating the directory {}", parent.display()))?;
    let lock = Lock::wait_beside(parent, || ())?;
    atomic::remove_partial(parent)
        .with_context(|| format!("removing leftovers in {}", parent.display()))?;
    Ok(lock)
}

fn directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;

    use super::*;
    use crate::system::files::write_atomically;

    fn create(runs: &Path, chosen: Option<&str>) -> Result<RunDirectory> {
        let config = RunConfig::defaults(Method::Houlsby);
        RunDirectory::create(runs, "cola", chosen, "houlsby-64", &config)
    }

    #[test]
    fn a_default_name_that_is_taken_gets_a_number() {
        let runs = tempfile::tempdir().unwrap();
        let first = create(runs.path(), None).unwrap();
        let second = create(runs.path(), None).unwrap();
        assert!(first.root().ends_with("cola/houlsby-64") && first.config().is_file());
        assert!(second.root().ends_with("cola/houlsby-64-2") && second.config().is_file());
    }

    #[test]
    fn a_chosen_name_that_is_taken_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        create(runs.path(), Some("mine")).unwrap();
        let error = create(runs.path(), Some("mine")).unwrap_err();
        assert!(error.to_string().contains("--resume"), "{error}");

        fs::create_dir(runs.path().join("cola/other")).unwrap();
        fs::write(runs.path().join("cola/other/notes.txt"), "mine").unwrap();
        let error = create(runs.path(), Some("other")).unwrap_err();
        assert!(error.to_string().contains("is not a run"), "{error}");
        assert!(runs.path().join("cola/other/notes.txt").is_file());
    }

    #[test]
    fn what_a_kill_left_before_there_was_a_configuration_is_replaced() {
        let runs = tempfile::tempdir().unwrap();
        let root = runs.path().join("cola/mine");
        // Version 0.1.0 made the directory first, and wrote the configuration into a temporary file.
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join(".tmpAbCdEf"), "versi").unwrap();
        fs::create_dir_all(runs.path().join("cola/.mine.part")).unwrap();
        let run = create(runs.path(), Some("mine")).unwrap();
        assert!(run.config().is_file() && !root.join(".tmpAbCdEf").exists());
        assert!(!runs.path().join("cola/.mine.part").exists());
    }

    #[test]
    fn runs_that_have_ended_or_are_in_progress_are_not_resumed() {
        let runs = tempfile::tempdir().unwrap();
        let finished = create(runs.path(), Some("a")).unwrap();
        write_atomically(&finished.result(), b"{}").unwrap();
        let error = RunDirectory::newest_unfinished(runs.path()).unwrap_err().to_string();
        assert!(error.starts_with("no unfinished run is below"), "{error}");

        let stopped = create(runs.path(), Some("b")).unwrap();
        let error = RunDirectory::newest_unfinished(runs.path()).unwrap_err().to_string();
        assert!(error.contains("cola/b is in use by process"), "{error}");
        let root = stopped.root().to_owned();
        assert!(RunDirectory::open(&root).unwrap().locked().is_err());
        drop(stopped);
        assert_eq!(RunDirectory::newest_unfinished(runs.path()).unwrap().root(), root);
    }
}
