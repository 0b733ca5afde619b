//! The configuration of a run: written beside every result as `config.toml`, and enough to repeat it.
//!
//! Each section is a file, whose fields are the keys of `config.toml` and the flags of `trainer train`; the default
//! values are in `defaults`, and the checks in `check`.

mod check;
mod defaults;
mod model;
mod task;
mod training;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use burn_adapters::AdapterPlan;
use clap::{Arg, Args, Command};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::files::write_atomically;

pub(crate) use defaults::{QUESTION_LENGTH, QUESTION_POOLING, default_pooling};
pub use model::ModelConfig;
pub use task::{CustomTaskConfig, TaskConfig};
pub use training::{Decay, OptimizerKind, StateCache, TrainingConfig};

/// The layout of this file; a change that older programs cannot read raises it.
const VERSION: u32 = 1;

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

/// The fields of a section, as flags.
pub(crate) fn fields<T: Args>() -> Vec<Arg> {
    // Of the flags for an update none is required.
    T::augment_args_for_update(Command::new("")).get_arguments().cloned().collect()
}

/// The names of a section's fields.
fn names<T: Args>() -> BTreeSet<String> {
    fields::<T>().iter().map(|field| field.get_id().to_string()).collect()
}

/// A section with another value of a field.
fn with<T: Serialize + DeserializeOwned>(section: &T, field: &str, value: &Value) -> Result<T> {
    let mut table = Table::try_from(section)?;
    table.insert(field.to_owned(), value.clone());
    Ok(table.try_into()?)
}

impl RunConfig {
    /// Sets a field of `[model]` or `[training]`, `limit` of `[task]`, or `seed`, by its name in a `config.toml`.
    ///
    /// # Errors
    /// An unknown field, or a value of another type.
    pub fn set(&mut self, field: &str, value: &Value) -> Result<()> {
        static MODEL: LazyLock<BTreeSet<String>> = LazyLock::new(names::<ModelConfig>);
        static TRAINING: LazyLock<BTreeSet<String>> = LazyLock::new(names::<TrainingConfig>);
        match field {
            "seed" => self.seed = value.clone().try_into()?,
            "limit" => self.task.limit = value.clone().try_into()?,
            _ if MODEL.contains(field) => self.model = with(&self.model, field, value)?,
            _ if TRAINING.contains(field) => self.training = with(&self.training, field, value)?,
            _ => bail!("unknown field `{field}`"),
        }
        Ok(())
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A file that is missing, is not TOML, has an unknown key or another version.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the configuration {}", path.display());
        let text = std::fs::read_to_string(path).with_context(context)?;
        Self::parse(&text).with_context(context)?.from_where_it_started()
    }

    /// Parses a `config.toml`; paths are kept as they are written.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        ensure!(
            config.version == VERSION,
            "it has version {}, this program reads version {VERSION}",
            config.version
        );
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.toml`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.to_text()?.as_bytes())
    }

    /// The text of a `config.toml`, with the directory to which paths are relative.
    ///
    /// # Errors
    /// A working directory that does not exist.
    pub fn to_text(&self) -> Result<String> {
        let mut config = self.clone();
        if config.directory.is_none() {
            config.directory =
                Some(std::env::current_dir().context("finding the working directory")?);
        }
        Ok(toml::to_string(&config)?)
    }

    /// The same with paths relative to the working directory, if that is not the one in which the run was started.
    #[expect(clippy::wrong_self_convention, reason = "`from` is a location here")]
    fn from_where_it_started(mut self) -> Result<Self> {
        let Some(start) = self.directory.take() else { return Ok(self) };
        let here = std::env::current_dir().context("finding the working directory")?;
        // If the directory was moved or renamed, paths are taken as relative to the current one.
        if here == start || !start.is_dir() {
            return Ok(self);
        }
        let resolve = |path: &mut PathBuf| *path = start.join(&*path);
        let TaskConfig { data, custom, .. } = &mut self.task;
        data.iter_mut().for_each(resolve);
        if let Some(custom) = custom {
            resolve(&mut custom.train);
            custom.validation.iter_mut().chain(&mut custom.test).for_each(resolve);
        }
        self.model.fuse.iter_mut().for_each(resolve);
        // A base that is not a directory is a name.
        let base = start.join(&self.model.base);
        if base.is_dir() {
            self.model.base = base.to_string_lossy().into_owned();
        }
        Ok(self)
    }

    /// What is inserted at each site, and what of the base is trainable.
    pub fn plan(&self) -> AdapterPlan {
        self.model.plan()
    }

    /// Name of a run without `--name`: `houlsby-64-seed42`.
    pub fn default_name(&self) -> String {
        let size = if self.model.method.has_size() {
            format!("-{}", self.model.size)
        } else {
            String::new()
        };
        format!("{}{size}-seed{}", self.model.method, self.seed)
    }
}
