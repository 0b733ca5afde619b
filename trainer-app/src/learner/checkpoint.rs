//! What a stopped run goes on from: the trained tensors, the optimizer's state and how far the run was.
//! The base is not in it, and neither are random states: those follow from the seed and the step.
//!
//! ```text
//! checkpoint/step-000000420/
//!   trained.bpk      every trained parameter, with its id, and the running statistics of batch norms
//!   optimizer.bpk    its moments
//!   progress.json    how far the run was; see Progress
//! ```
//!
//! A checkpoint is written into a directory of another name and renamed when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};

use super::step::Tuner;

const VERSION: u32 = 1;
const TRAINED: &str = "trained.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Layout of the file.
    pub version: u32,
    /// Optimizer steps done.
    pub steps: usize,
    /// The epochs that were trained and scored.
    pub epochs: Vec<EpochReport>,
    /// Sum of the losses of the epoch that is under way.
    pub loss_sum: f64,
    /// Seconds spent so far, in all processes that worked on the run.
    pub seconds: f64,
}

/// One epoch that was trained and scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean validation loss.
    pub validation_loss: f64,
    /// The task's main score on the validation rows.
    pub score: f64,
    /// Every score of the task, by name.
    pub scores: serde_json::Map<String, serde_json::Value>,
    /// Whether every validation row got the same class: the run has collapsed, or not started to learn.
    #[serde(default)]
    pub one_answer: bool,
    /// Seconds of a training step, the median.
    pub seconds_per_step: f64,
}

impl Progress {
    /// The epoch with the best score; the first of equals.
    pub fn best(&self) -> Option<&EpochReport> {
        self.epochs.iter().reduce(|best, epoch| if epoch.score > best.score { epoch } else { best })
    }

    /// How many epochs, up to the last, gave every row the same answer.
    pub fn epochs_with_one_answer(&self) -> usize {
        self.epochs.iter().rev().take_while(|epoch| epoch.one_answer).count()
    }

    /// How many epochs have gone by since the best.
    pub fn epochs_without_improvement(&self) -> usize {
        self.best().map_or(0, |best| self.epochs.len() - best.epoch)
    }
}

/// A checkpoint in memory, to go on from.
pub struct Checkpoint {
    /// How far the run was.
    pub progress: Progress,
    /// The trained tensors.
    trained: ModuleRecord,
    /// The moments.
    optimizer: OptimizerRecord,
}

impl Checkpoint {
    /// Writes a checkpoint and removes the older ones.
    ///
    /// # Errors
    /// What the file system says; the older checkpoints are still there then.
    pub fn save(
        directory: &Path,
        progress: &Progress,
        model: &Tuner,
        optimizer: &ModuleOptimizer,
    ) -> Result<()> {
        let name = format!("step-{:09}", progress.steps);
        let (whole, part) = (directory.join(&name), directory.join(format!("{name}.part")));
        let write = || -> Result<()> {
            // A part left by a process that was killed, or the same step saved once more after its epoch was scored.
            if part.exists() {
                fs::remove_dir_all(&part)?;
            }
            fs::create_dir_all(&part)?;
            // `valid` brings running statistics up to the last step.
            let trained = model.model.trained_group();
            model.valid().into_record_group(trained).save(part.join(TRAINED))?;
            optimizer.to_record().save(part.join(OPTIMIZER))?;
            let progress = Progress { version: VERSION, ..progress.clone() };
            fs::write(part.join(PROGRESS), serde_json::to_vec_pretty(&progress)?)?;
            for file in [TRAINED, OPTIMIZER, PROGRESS] {
                fs::File::open(part.join(file))?.sync_all()?;
            }
            if whole.exists() {
                fs::remove_dir_all(&whole)?;
            }
            fs::rename(&part, &whole)?;
            Ok(())
        };
        write().with_context(|| format!("writing the checkpoint {}", whole.display()))?;
        for (_, older) in list(directory).into_iter().filter(|(step, _)| *step < progress.steps) {
            fs::remove_dir_all(&older)
                .with_context(|| format!("removing the older checkpoint {}", older.display()))?;
        }
        Ok(())
    }

    /// The newest whole checkpoint; `None` where there is none yet.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or has another version.
    pub fn newest(directory: &Path) -> Result<Option<Self>> {
        let Some((_, path)) = list(directory).into_iter().max() else { return Ok(None) };
        let read = || -> Result<Self> {
            let progress: Progress = serde_json::from_slice(&fs::read(path.join(PROGRESS))?)?;
            ensure!(
                progress.version == VERSION,
                "it has version {}, this program reads version {VERSION}",
                progress.version
            );
            Ok(Self {
                progress,
                trained: ModuleRecord::load(path.join(TRAINED))?,
                optimizer: OptimizerRecord::load(path.join(OPTIMIZER))?,
            })
        };
        read().map(Some).with_context(|| format!("reading the checkpoint {}", path.display()))
    }

    /// Puts everything back into a freshly built model and an optimizer made by `optimizer` for it.
    ///
    /// # Errors
    /// A tensor that the model does not have, or of another shape.
    pub fn restore(
        self,
        model: Tuner,
        optimizer: impl FnOnce(&Tuner) -> ModuleOptimizer,
    ) -> Result<(Tuner, ModuleOptimizer, Progress)> {
        let trained = self.trained.allow_partial(true);
        let model = model
            .try_load_record(trained)
            .context("putting the checkpoint's tensors into the model")?;
        // The tensors come back under the ids they were saved with, so the groups are made only now.
        let optimizer = optimizer(&model).load_record(self.optimizer);
        Ok((model, optimizer, self.progress))
    }
}

fn list(directory: &Path) -> Vec<(usize, PathBuf)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
    entries.flatten().filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect()
}
