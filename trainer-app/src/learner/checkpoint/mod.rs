//! Checkpoints, from which an interrupted run is resumed: the trainable tensors, the state of the optimizer, the progress
//! and the identity of the run. The frozen base is not in a checkpoint, and neither are random states, which follow from
//! the seed and the step.
//!
//! ```text
//! checkpoint/step-000000420-save-000007/
//!   trained.bpk      every trainable parameter, with its id, and the running statistics of batch norms
//!   optimizer.bpk    the moments of the optimizer
//!   progress.json    the progress and the identity of the run, and checksums
//! ```
//!
//! Every checkpoint is a new directory, which is renamed to its final name when it is complete. The previous one is kept,
//! and is read if the newest is damaged.

pub mod identity;
mod record;
mod tensors;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn_adapters::file::atomic;

use super::bert_adam::BertAdamConfig;
use super::progress::Progress;
use super::step::TrainableModel;
use identity::Identity;
use record::{Checked, Record, RecordError};
use tensors::Tensors;

const TRAINED: &str = "trained.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";
/// Number of checkpoints that are kept: the newest, and the previous one in case the newest is damaged.
const KEPT: usize = 2;

/// A run cannot be resumed from its checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Rows, base or settings differ from those of the checkpoint.
    #[error(
        "the checkpoint {} was saved by a run that differs: {}; undo the change, or train a new run",
        path.display(),
        differences.join("; ")
    )]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// The differences.
        differences: Vec<String>,
    },
    /// All checkpoints are damaged.
    #[error(
        "no checkpoint in {} can be read: {}; remove that directory to train the run from its beginning",
        directory.display(),
        damages.join("; ")
    )]
    AllDamaged {
        /// The directory of the checkpoints.
        directory: PathBuf,
        /// The damage of each, the newest first.
        damages: Vec<String>,
    },
    /// The tensors do not fit the model of the settings.
    #[error("the checkpoint {} does not fit the model: {why}", path.display())]
    OtherModel {
        /// The checkpoint.
        path: PathBuf,
        /// The first tensor that does not fit.
        why: String,
    },
}

/// A checkpoint in memory.
pub struct Checkpoint {
    /// The progress of the run.
    pub progress: Progress,
    /// The identity of the run; `None` for checkpoints of older versions.
    pub identity: Option<Identity>,
    path: PathBuf,
    tensors: Tensors,
}

/// The checkpoints that were found.
#[derive(Default)]
pub struct Found {
    /// The newest intact checkpoint; `None` if there are no checkpoints.
    pub checkpoint: Option<Checkpoint>,
    /// The damage of newer ones.
    pub damages: Vec<String>,
}

/// A directory with the name of a checkpoint; ordered by the time of writing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Whether it has its final name. Version 1 wrote `.part` directories, which may be complete.
    is_in_place: bool,
    /// The number of the save in the run, counted from 1; 0 in version 1.
    save: usize,
    steps: usize,
    path: PathBuf,
}

impl Checkpoint {
    /// Writes a checkpoint, and removes all but the previous one.
    ///
    /// # Errors
    /// If a file cannot be written. The older checkpoints are kept then.
    pub fn save(
        directory: &Path,
        progress: &Progress,
        identity: &Identity,
        model: &TrainableModel,
        optimizer: &ModuleOptimizer,
    ) -> Result<()> {
        let entries = list(directory)?;
        let save = 1 + entries.iter().map(|entry| entry.save).max().unwrap_or(0);
        let path = directory.join(format!("step-{:09}-save-{save:06}", progress.steps));
        write(&path, progress, identity, model, optimizer)
            .with_context(|| format!("writing the checkpoint {}", path.display()))?;
        for entry in &entries[..(entries.len() + 1).saturating_sub(KEPT)] {
            fs::remove_dir_all(&entry.path).with_context(|| {
                format!("removing the older checkpoint {}", entry.path.display())
            })?;
        }
        Ok(())
    }

    /// The newest intact checkpoint. Damaged ones are renamed, so that they are not read again.
    ///
    /// # Errors
    /// [`CheckpointError::AllDamaged`], a checkpoint of a newer version, or a file that cannot be read.
    pub fn newest(directory: &Path) -> Result<Found> {
        let mut damages = Vec::new();
        let mut damaged = Vec::new();
        for entry in list(directory)?.into_iter().rev() {
            let path = entry.path;
            match read(&path)
                .with_context(|| format!("reading the checkpoint {}", path.display()))?
            {
                Ok(checkpoint) => {
                    for path in damaged {
                        rename_damaged(path)?;
                    }
                    return Ok(Found { checkpoint: Some(checkpoint), damages });
                }
                Err(why) => {
                    damages.push(format!("{}: {why}", path.display()));
                    damaged.push(path);
                }
            }
        }
        if damages.is_empty() {
            return Ok(Found::default());
        }
        Err(CheckpointError::AllDamaged { directory: directory.to_owned(), damages }.into())
    }

    /// Compares the identity of the checkpoint with that of the run; `false` if the checkpoint has none.
    ///
    /// # Errors
    /// [`CheckpointError::Changed`], with all differences.
    pub fn check(&self, now: &Identity) -> Result<bool> {
        let Some(then) = &self.identity else { return Ok(false) };
        let path = self.path.clone();
        let differences = then
            .differences(now)
            .with_context(|| format!("comparing with the checkpoint {}", path.display()))?;
        if differences.is_empty() {
            return Ok(true);
        }
        Err(CheckpointError::Changed { path, differences }.into())
    }

    /// Loads the checkpoint into a new model, and into the optimizer that `optimizer` makes for it.
    ///
    /// # Errors
    /// [`CheckpointError::OtherModel`]
    pub fn restore(
        self,
        model: TrainableModel,
        optimizer: impl FnOnce(&TrainableModel) -> ModuleOptimizer,
    ) -> Result<(TrainableModel, ModuleOptimizer, Progress)> {
        let Tensors { trained, optimizer: moments, shapes } = self.tensors;
        let other = |why: String| CheckpointError::OtherModel { path: self.path.clone(), why };
        for parameter in model.model.trainable_parameters() {
            match shapes.get(&format!("model.{}", parameter.path)) {
                Some(shape) if *shape == parameter.shape => {}
                Some(shape) => {
                    let (path, expected) = (parameter.path, parameter.shape);
                    return Err(other(format!("{path} is {shape:?}, expected {expected:?}")).into());
                }
                None => return Err(other(format!("it has no {}", parameter.path)).into()),
            }
        }
        let trained = trained.allow_partial(true);
        let model = model.try_load_record(trained).map_err(|error| other(error.to_string()))?;
        // Loaded tensors have the ids of the checkpoint, so that the groups of the optimizer are made only now.
        let optimizer = optimizer(&model).load_record(moments);
        Ok((model, optimizer, self.progress))
    }
}

fn write(
    path: &Path,
    progress: &Progress,
    identity: &Identity,
    model: &TrainableModel,
    optimizer: &ModuleOptimizer,
) -> Result<()> {
    // `valid` updates running statistics to the last step.
    let group = model.model.saved_group();
    let trained = model.valid().into_record_group(group).into_bytes()?;
    let moments = optimizer.to_record().into_bytes()?;
    let files = [(TRAINED, &trained), (OPTIMIZER, &moments)];
    let checked = Checked {
        run: identity.clone(),
        files: files.map(|(name, bytes)| (name.to_owned(), record::checksum(bytes))).into(),
    };
    let record = Record::write(progress, &checked)?;
    atomic::create_directory(path, |partial| {
        for (name, bytes) in files {
            fs::write(partial.join(name), &bytes[..])?;
        }
        fs::write(partial.join(PROGRESS), record)
    })?;
    Ok(())
}

/// Reads a checkpoint; the inner error is its damage.
fn read(path: &Path) -> Result<Result<Checkpoint, String>> {
    let file = |name: &str| match fs::read(path.join(name)) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Err(format!("it has no {name}")))
        }
        Err(error) => Err(error).with_context(|| format!("reading {name}")),
    };
    let (record, trained, optimizer) = match (file(PROGRESS)?, file(TRAINED)?, file(OPTIMIZER)?) {
        (Ok(record), Ok(trained), Ok(optimizer)) => (record, trained, optimizer),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return Ok(Err(why)),
    };
    let Record { progress, checked } = match Record::read(&record) {
        Ok(record) => record,
        Err(RecordError::Damaged(why)) => return Ok(Err(format!("{PROGRESS}: {why}"))),
        Err(error @ RecordError::Version(_)) => return Err(error.into()),
    };
    if let Some(checked) = &checked {
        for (name, bytes) in [(TRAINED, &trained), (OPTIMIZER, &optimizer)] {
            if checked.files.get(name) != Some(&record::checksum(bytes)) {
                return Ok(Err(format!("the checksum of {name} is wrong")));
            }
        }
    }
    let tensors = tensors::read(trained, optimizer);
    Ok(tensors.map(|tensors| Checkpoint {
        progress,
        identity: checked.map(|checked| checked.run),
        path: path.to_owned(),
        tensors,
    }))
}

fn rename_damaged(path: PathBuf) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = path.with_file_name(format!("damaged-{name}"));
    let context = || format!("renaming the damaged checkpoint {}", path.display());
    if aside.exists() {
        fs::remove_dir_all(&aside).with_context(context)?;
    }
    atomic::rename(&path, &aside).with_context(context)
}

/// The checkpoints of a directory, the oldest first.
fn list(directory: &Path) -> Result<Vec<Entry>> {
    let context = || format!("looking for checkpoints in {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(context),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(Entry::of(entry.with_context(context)?.path()));
    }
    found.sort();
    Ok(found)
}

impl Entry {
    /// `step-000000420-save-000007`; version 1: `step-000000420`, and `step-000000420.part` on the way to it.
    fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("step-")?;
        let (name, is_in_place) = match name.strip_suffix(".part") {
            Some(name) => (name, false),
            None => (name, true),
        };
        let (steps, save) = name.split_once("-save-").unwrap_or((name, "0"));
        Some(Self { is_in_place, save: save.parse().ok()?, steps: steps.parse().ok()?, path })
    }
}

/// Checks the three files of a checkpoint as resuming does, whatever the run is; for fuzzing.
///
/// # Errors
/// The damage of the files.
pub fn check_files(progress: &[u8], trained: Vec<u8>, optimizer: Vec<u8>) -> Result<()> {
    let Record { checked, .. } = Record::read(progress)?;
    let is_whole = |checked: &Checked| {
        checked.files.get(TRAINED) == Some(&record::checksum(&trained))
            && checked.files.get(OPTIMIZER) == Some(&record::checksum(&optimizer))
    };
    ensure!(checked.as_ref().is_none_or(is_whole), "a checksum is wrong");
    let tensors = tensors::read(trained, optimizer).map_err(anyhow::Error::msg)?;
    // Burn does not check the moments, and must not panic on them.
    drop(ModuleOptimizer::from(BertAdamConfig::new().build()).load_record(tensors.optimizer));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_listed_in_the_order_of_writing() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "step-000000900.part",
            "step-000000020",
            "step-000000100",
            "step-000000090-save-000001",
            "step-000000010-save-000002",
        ];
        for name in names.iter().rev().chain(&["damaged-step-000000001-save-000001", "other"]) {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let listed = list(directory.path()).unwrap();
        let listed: Vec<_> = listed.iter().map(|entry| entry.path.file_name().unwrap()).collect();
        assert_eq!(listed, names);
        assert!(list(&directory.path().join("nowhere")).unwrap().is_empty());
    }
}
