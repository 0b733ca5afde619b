//! The configuration of a run: its sections and what all share.

use std::path::PathBuf;

use burn_adapters::AdapterPlan;
use serde::{Deserialize, Serialize};

use super::model::ModelConfig;
use super::task::TaskConfig;
use super::training::TrainingConfig;

/// The layout of this file; a change that older programs cannot read raises it.
pub(super) const VERSION: u32 = 1;

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the file's layout.
    pub version: u32,
    /// Seed of every random choice.
    pub seed: u64,
    /// `auto`, `cpu`, `wgpu` or `cuda`, with an index as in `cuda:1`; several devices that share every batch are
    /// separated by commas: `cuda:0,cuda:1`.
    pub device: String,
    /// Directory in which the run was started, to which paths are relative. Unset until the configuration is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Where the rows come from.
    pub task: TaskConfig,
    /// What is trained.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
}

impl RunConfig {
    /// What is inserted at each site, and what of the base is trainable.
    pub fn plan(&self) -> AdapterPlan {
        self.model.plan()
    }

    /// Name of a run without `--name`: `houlsby-64-seed42`.
    pub fn default_name(&self) -> String {
        format!("{}-seed{}", self.model.label(), self.seed)
    }
}
