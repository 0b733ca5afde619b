//! The fields of the sections by name: as flags, and as keys of a sweep's grid.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Result, bail};
use clap::{Arg, Args, Command};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::model::ModelConfig;
use super::run::RunConfig;
use super::training::TrainingConfig;

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

static MODEL: LazyLock<BTreeSet<String>> = LazyLock::new(names::<ModelConfig>);
static TRAINING: LazyLock<BTreeSet<String>> = LazyLock::new(names::<TrainingConfig>);

impl RunConfig {
    /// Whether [`set`](Self::set) knows a field.
    pub fn has_field(field: &str) -> bool {
        ["seed", "limit"].contains(&field) || MODEL.contains(field) || TRAINING.contains(field)
    }

    /// Sets a field of `[model]` or `[training]`, `limit` of `[task]`, or `seed`, by its name in a `config.toml`.
    ///
    /// # Errors
    /// An unknown field, or a value of another type.
    pub fn set(&mut self, field: &str, value: &Value) -> Result<()> {
        match field {
            "seed" => self.seed = value.clone().try_into()?,
            "limit" => self.task.limit = value.clone().try_into()?,
            _ if MODEL.contains(field) => self.model = with(&self.model, field, value)?,
            _ if TRAINING.contains(field) => self.training = with(&self.training, field, value)?,
            _ => bail!("unknown field `{field}`"),
        }
        Ok(())
    }
}
