//! A cell: one run of a sweep, identified by its settings.

use sha2::{Digest, Sha256};

use crate::run_config::RunConfig;

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Sixteen hexadecimal digits of a hash of its settings.
    pub id: String,
    /// The run.
    pub config: RunConfig,
}

impl Cell {
    /// The cell of a run.
    pub fn new(config: RunConfig) -> Self {
        Self { id: Self::id_of(&config), config }
    }

    /// The id of a run's cell, which depends on everything that the result depends on.
    pub fn id_of(config: &RunConfig) -> String {
        let bytes = serde_json::to_vec(&Self::relevant_settings(config))
            .expect("a configuration has no keys but strings");
        let digest = Sha256::digest(bytes);
        let first = digest.first_chunk::<8>().expect("a SHA-256 has 32 bytes");
        format!("{:016x}", u64::from_be_bytes(*first))
    }

    /// A configuration without what the result does not depend on: the device, the directory of the data, and the
    /// directory in which the program was started.
    pub fn relevant_settings(config: &RunConfig) -> RunConfig {
        let mut relevant = config.clone();
        "auto".clone_into(&mut relevant.device);
        relevant.task.data = None;
        relevant.directory = None;
        relevant
    }

    /// A short description: `cola houlsby-64 3e-4 3 epochs seed 0`.
    pub fn describe(&self) -> String {
        let RunConfig { task, model, training, seed, .. } = &self.config;
        let init = model.init_std.map(|std| format!(" σ {std:e}")).unwrap_or_default();
        let layers = model
            .adapt_layers
            .as_ref()
            .map(|layers| format!(" layers {layers}"))
            .unwrap_or_default();
        let epochs = if training.epochs == 1 { "epoch" } else { "epochs" };
        format!(
            "{} {}{layers}{init}{} {:e} {} {epochs} seed {seed}",
            task.name,
            model.label(),
            training.objective(),
            training.learning_rate,
            training.epochs
        )
    }
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;

    use super::*;

    #[test]
    fn the_id_of_a_cell_depends_on_what_it_computes() {
        let config = RunConfig::defaults(Method::Houlsby);
        let here = Cell::new(config.clone());
        let elsewhere = Cell::new(RunConfig { device: "cuda:3".to_owned(), ..config.clone() });
        assert_eq!(here.id, elsewhere.id);
        let mut data = config.clone();
        data.task.data = Some("/scratch/glue".into());
        assert_eq!(here.id, Cell::new(data).id);
        let started = RunConfig { directory: Some("/home".into()), ..config.clone() };
        assert_eq!(here.id, Cell::new(started).id);
        assert_ne!(here.id, Cell::new(RunConfig { seed: 7, ..config.clone() }).id);
        let mut base = config;
        "bert-base-uncased".clone_into(&mut base.model.base);
        assert_ne!(here.id, Cell::new(base).id);
    }
}
